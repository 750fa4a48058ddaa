"""HISTEX on a small section of 16 µm cells, where a tile is 3 x 3."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from toys.section import toy_section

from stsr.methods import Training, create
from stsr.methods.shared.cell_tiles import CellTokens
from stsr.methods.super_resolution.histex import HistexConfig
from stsr.methods.super_resolution.histex_tiles import Surroundings

QUIET = Training(device="cpu", progress=False)
SCALE = {
    "low": np.zeros(6, np.float32),
    "high": np.ones(6, np.float32),
    "spot_cells": np.array([37.0]),
    "centre": np.zeros(6, np.float32),
    "spread": np.ones(6, np.float32),
}


@pytest.fixture(scope="module")
def toy():
    return toy_section(shape=(26, 28), bin_size=16.0)


@pytest.fixture(scope="module")
def fitted(toy):
    return create("histex", {"epochs": 16, "patience": 16, "batch": 8}).fit(toy.section, seed=0, training=QUIET)


def predict(method, section, rows=slice(None)):
    return method.on(section, device="cpu")(rows)


def around(section, *, faithful=False):
    return Surroundings(section, SCALE, faithful=faithful)


def test_at_8_um_a_tile_is_7_by_7_and_its_disc_37_cells():
    tiles = around(toy_section().section)
    assert (tiles.tile.side, int(tiles.tile.disc.sum())) == (7, 37)


def test_training_data_have_the_shapes_of_the_paper():
    section = toy_section().section
    image, expression, inside, weights, target = around(section).spots(CellTokens.learn(section))
    n = len(image)
    assert n > 30
    assert image.shape == (n, 49, 5 + 3 + 2)
    assert expression.shape == (n, 5, 6 + 2)
    assert inside.shape == (n, 49)
    assert weights.shape == (n, 37)
    assert target.shape == (n, 6)
    assert np.abs(image[..., -2:]).max() < 0.5


def test_it_learns(toy, fitted):
    assert fitted.history["train"][-1] < 0.5 * fitted.history["train"][0]
    assert min(fitted.history["held_out"]) < 0.7 * fitted.history["held_out"][0]
    mean = predict(fitted, toy.section).mean
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(mean.T, toy.truth.T, strict=True)]
    assert np.mean(r[:2]) > 0.65  # the genes that follow the trend: 48 spots of nine cells say little of the structure
    np.testing.assert_allclose(mean.mean(axis=0), toy.truth.mean(axis=0), rtol=0.2)


def test_a_spot_is_trained_without_its_own_counts_unless_faithful(toy):
    section, spot = toy.section, 12
    counts = section.counts.toarray()
    counts[spot] += 1000
    other = replace(section, counts=sp.csr_array(counts))
    tokens = CellTokens.learn(section)
    seen = [around(s, faithful=False).spots(tokens)[1] for s in (section, other)]
    assert len(seen[0]) == len(section.spots)
    np.testing.assert_array_equal(seen[0][spot], seen[1][spot])
    assert (seen[0] != seen[1]).any(axis=(1, 2)).sum() > 3
    faithful = [around(s, faithful=True).spots(tokens)[1] for s in (section, other)]
    assert (faithful[0] != faithful[1]).any()


def test_when_predicting_a_spot_is_seen_by_the_tile_on_it(toy):
    tiles = around(toy.section)
    nearest = tiles.around(tiles.tile.corners(toy.section))[:, 0, :-2]
    assert (nearest == toy.section.counts.toarray()).all(axis=1).mean() > 0.9


def test_faithful_pairs_spots_and_lattice_points_by_number_and_places_them_on_the_whole_grid(toy):
    section = toy.section
    tiles = around(section, faithful=True)
    image, expression, *_ = tiles.spots(CellTokens.learn(section))
    first = tiles.lattice.nearest(tiles.lattice.xy[: len(section.spots)], 5)
    np.testing.assert_array_equal(expression[..., :-2], tiles.values[first])
    assert image[..., -2:].min() >= -0.1
    assert image[..., -2:].max() > 0.8


def test_a_disc_at_the_border_adds_up_and_is_averaged_when_faithful():
    section = toy_section().section
    tokens = CellTokens.learn(section)
    sums, means = (around(section, faithful=faithful).spots(tokens) for faithful in (False, True))
    inside = sums[2][:, around(section).tile.disc]
    assert not inside.all()
    np.testing.assert_allclose(sums[3], inside / 37, rtol=1e-6)
    np.testing.assert_allclose(means[3].sum(axis=1), 1, rtol=1e-5)


def test_defaults_and_what_faithful_makes_of_them():
    assert HistexConfig() == HistexConfig(epochs=30, states=1, learning_rate=5e-4, batch=32)
    published = {"epochs": 500, "states": 5, "learning_rate": 1e-4, "batch": 32}
    assert HistexConfig(faithful=True) == HistexConfig(faithful=True, **published)


def test_faithful_runs_all_epochs_predicts_disjoint_tiles_and_takes_the_median_of_its_states(toy):
    config = {"faithful": True, "epochs": 2, "states": 3}
    method = create("histex", config).fit(toy.section, seed=0, training=QUIET)
    assert {len(losses) for losses in method.history.values()} == {2}
    assert set(method.history) == {f"{name}{state}" for name in ("train", "held_out") for state in ("", " 2", " 3")}
    predictor = method.on(toy.section, device="cpu")
    assert predictor.shifts == {0}
    assert predictor.nets[0].blocks[0].merge.scale == 8**-0.5
    together = predictor(slice(None)).mean
    alone = []
    for net in method.on(toy.section, device="cpu").nets:
        predictor.nets = [net]
        alone.append(predictor(slice(None)).mean)
    np.testing.assert_allclose(together, np.median(alone, axis=0), rtol=1e-5)


def test_a_gene_without_counts_stays_near_zero(toy):
    counts = toy.section.counts.toarray()
    counts[:, 1] = 0
    section = replace(toy.section, counts=sp.csr_array(counts))
    method = create("histex", {"epochs": 8, "batch": 8}).fit(section, seed=0, training=QUIET)
    mean = predict(method, section).mean
    assert np.isfinite(mean).all()
    assert mean[:, 1].mean() < 0.1 * mean[:, 0].mean()
