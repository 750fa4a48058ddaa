"""iStar: it learns what the image shows, and its cells add up to the spots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from toys.border import whole_spots
from toys.section import toy_section

from stsr.methods import Training, create
from stsr.methods.shared.cell_tiles import cell_colours
from stsr.methods.shared.requirements import WHOLE
from stsr.methods.super_resolution.istar import IstarConfig, discs
from stsr.metrics import pearson

QUIET = Training(device="cpu", progress=False)
QUICK = {"epochs": 40, "states": 1, "patience": 40, "batch": 8}


@pytest.fixture(scope="module")
def toy():
    return toy_section()


@pytest.fixture(scope="module")
def fitted(toy):
    return create("istar", QUICK).fit(toy.section, seed=0, training=QUIET)


def predict(method, section, rows=slice(None)):
    return method.on(section, device="cpu")(rows)


def test_it_beats_the_nearest_spot_where_the_image_rules(toy, fitted):
    nearest = create("nearest").fit(toy.section, seed=0, training=QUIET)
    ours, theirs = (pearson(predict(m, toy.section).mean, toy.truth)[3:] for m in (fitted, nearest))
    assert (ours > theirs + 0.2).all()


def test_the_loss_falls_on_spots_held_out(fitted):
    assert min(fitted.history["held_out"]) < 0.7 * fitted.history["held_out"][0]


def test_discs_add_up_to_what_was_measured(toy, fitted):
    cells = predict(fitted, toy.section).mean
    measured = toy.section.counts.sum(axis=0)
    np.testing.assert_allclose((toy.section.footprint @ cells).sum(axis=0), measured, rtol=0.1)


def test_the_latent_is_the_last_hidden_layer(toy, fitted):
    prediction = predict(fitted, toy.section)
    assert prediction.latent.shape == (toy.section.grid.n_cells, 256)
    weight, bias = (fitted.arrays[f"net0/out.{name}"] for name in ("weight", "bias"))
    raw = prediction.latent @ weight.T + bias
    scaled = np.where(raw > 0, raw + 0.01, 0.01 * np.exp(np.minimum(raw, 0)))
    expected = scaled * fitted.arrays["high"] / toy.section.spot_cells
    np.testing.assert_allclose(prediction.mean, expected, rtol=1e-3, atol=1e-5)


def test_its_spots_play_no_part_in_the_prediction(toy, fitted):
    elsewhere = replace(toy.section, counts=sp.csr_array(toy.section.counts.toarray()[::-1]))
    np.testing.assert_array_equal(predict(fitted, elsewhere).mean, predict(fitted, toy.section).mean)


def test_discs_are_areas_by_default(toy):
    section = whole_spots(toy).section
    spots, cells, weights = discs(section, faithful=False)
    dense = np.zeros(section.footprint.shape)
    np.add.at(dense, (spots[:, None], cells), weights * section.spot_cells)
    np.testing.assert_allclose(dense, section.footprint.toarray(), rtol=1e-5)


def test_a_disc_that_the_border_cuts_is_not_learned_from_and_one_that_it_touches_stands_for_a_whole(toy):
    spots, _, weights = discs(toy.section, faithful=False)
    covered = toy.section.covered
    assert covered.min() < WHOLE < covered[covered < 1].max()
    np.testing.assert_array_equal(spots, np.flatnonzero(covered >= WHOLE))
    whole = toy.section.footprint.sum(axis=1)[spots] / toy.section.spot_cells / covered[spots]
    np.testing.assert_allclose(weights.sum(axis=1), whole, rtol=1e-4)


def test_discs_are_37_whole_cells_when_faithful(toy):
    spots, cells, weights = discs(toy.section, faithful=True)
    assert cells.shape == weights.shape == (len(spots), 37)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert (weights[cells < 0] == 0).all()
    assert (cells < 0).any()


@pytest.mark.parametrize("faithful", [False, True])
def test_spots_with_less_than_half_of_their_disc_on_tissue_are_not_learned_from(toy, faithful):
    section = whole_spots(toy).section
    spots = section.spots.copy()
    spots[3] = -500.0
    used, *_ = discs(replace(section, spots=spots), faithful=faithful)
    assert set(range(len(spots))) - set(used.tolist()) == {3}


def test_defaults_and_what_faithful_makes_of_them():
    assert IstarConfig() == IstarConfig(epochs=40, states=3, learning_rate=1e-3, batch=32)
    published = {"epochs": 400, "states": 5, "learning_rate": 1e-4, "batch": 128}
    assert IstarConfig(faithful=True) == IstarConfig(faithful=True, **published)


def test_faithful_takes_features_as_they_are_runs_all_epochs_and_predicts_the_median(toy):
    method = create("istar", {"faithful": True, "epochs": 2, "states": 3}).fit(toy.section, seed=0, training=QUIET)
    assert {len(losses) for losses in method.history.values()} == {2}
    assert set(method.history) == {f"{name}{state}" for name in ("train", "held_out") for state in ("", " 2", " 3")}
    assert (method.arrays["mean"] == 0).all()
    assert (method.arrays["sd"] == 1).all()
    np.testing.assert_array_equal(method.arrays["low"], toy.section.counts.toarray().min(axis=0))
    alone = []
    for state in range(3):
        single = create("istar", {"faithful": True, "states": 1})
        shared = {name: method.arrays[name] for name in ("mean", "sd", "low", "high", "spot_cells")}
        net = {n.replace(f"net{state}/", "net0/"): a for n, a in method.arrays.items() if n.startswith(f"net{state}/")}
        single.arrays = shared | net
        alone.append(predict(single, toy.section).mean)
    assert not np.allclose(alone[0], alone[1])
    np.testing.assert_allclose(predict(method, toy.section).mean, np.median(alone, axis=0), rtol=1e-5)


def test_faithful_shows_the_network_features_as_they_are(toy):
    import torch

    from stsr.nn.networks.istar import IstarNet

    method = create("istar", {"faithful": True, "epochs": 1, "states": 1}).fit(toy.section, seed=0, training=QUIET)
    net = IstarNet(5 + 3, genes=6)
    net.load_state_dict(
        {name[5:]: torch.as_tensor(array) for name, array in method.arrays.items() if name[:5] == "net0/"}
    )
    raw = np.hstack([toy.section.cell_features(slice(None)), cell_colours(toy.section)])
    with torch.inference_mode():
        expected = net.hidden(torch.as_tensor(raw)).numpy()
    np.testing.assert_allclose(predict(method, toy.section).latent, expected, rtol=1e-4, atol=1e-5)
