"""SpaBiT on a small section: hidden spots, cells joined to spots, and what faithful changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from toys.section import toy_section

from stsr.methods import Training, create
from stsr.methods.shared.targets import log2_counts
from stsr.methods.super_resolution.spabit import SpaBitConfig

QUIET = Training(device="cpu", progress=False)
SMALL = {"hidden": 8, "width": 32}


@pytest.fixture(scope="module")
def toy():
    return toy_section(shape=(26, 28), bin_size=16.0)


@pytest.fixture(scope="module")
def fitted(toy):
    options = SMALL | {"epochs": 15, "patience": 15, "learning_rate": 2e-3}
    return create("spabit", options).fit(toy.section, seed=0, training=QUIET)


@pytest.fixture(scope="module")
def faithful(toy):
    options = SMALL | {"faithful": True, "epochs": 2, "graph_epochs": 3, "states": 2}
    return create("spabit", options).fit(toy.section, seed=0, training=QUIET)


def predict(method, section):
    return method.on(section, device="cpu")(slice(None)).mean


def test_it_learns(toy, fitted):
    assert min(fitted.history["held_out"]) < 0.8 * fitted.history["held_out"][0]
    mean = predict(fitted, toy.section)
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(mean.T, toy.truth.T, strict=True)]
    assert min(r[:2]) > 0.7  # the genes that follow the trend
    np.testing.assert_allclose(mean.mean(axis=0), toy.truth.mean(axis=0), rtol=0.25)


def test_the_spots_learned_from_add_up(toy, fitted):
    crops = fitted.on(toy.section, device="cpu").crops
    counts = fitted._counts(crops, "cpu")(toy.section.spots, crops.spots)
    np.testing.assert_allclose(counts.sum(axis=0), toy.section.counts.sum(axis=0), rtol=1e-2)


def test_a_cell_is_predicted_as_if_it_were_alone(toy, fitted):
    predictor = fitted.on(toy.section, device="cpu")
    xy, vectors = toy.section.grid.xy[50:100], predictor.crops.cells(slice(50, 100))
    together = predictor.counts(xy, vectors)
    np.testing.assert_allclose(predictor.counts(xy[:1], vectors[:1]), together[:1], rtol=1e-4)


def test_the_spots_around_are_looked_at(toy, fitted):
    doubled = replace(toy.section, counts=sp.csr_array(toy.section.counts * 2))
    ratio = predict(fitted, doubled) / predict(fitted, toy.section)
    assert np.abs(np.log(ratio)).mean() > 0.02


def test_no_cell_exceeds_every_spot(toy, fitted):
    most = toy.section.counts.toarray().max(axis=0) / toy.section.spot_cells * fitted.arrays["factor"]
    wild = create("spabit", SMALL | {"epochs": 1}).fit(toy.section, seed=0, training=QUIET)
    wild.arrays = fitted.arrays | {"net0/fusion.head.out.bias": np.full(6, 1e3, dtype=np.float32)}
    np.testing.assert_allclose(predict(wild, toy.section), np.broadcast_to(most, toy.truth.shape), rtol=1e-3)


def test_expression_is_standardised_or_when_faithful_log2_of_the_counts(toy, fitted, faithful):
    logs = log2_counts(toy.section)
    np.testing.assert_allclose(fitted._inputs(logs).std(axis=0), 1, rtol=1e-3)
    np.testing.assert_array_equal(faithful._inputs(logs), logs)


def test_faithful_trains_the_graph_first_and_all_networks_share_it(faithful):
    assert {curve: len(losses) for curve, losses in faithful.history.items()} == {
        "train": 2,
        "held_out": 2,
        "train 2": 2,
        "held_out 2": 2,
        "train graph": 3,
        "held_out graph": 3,
    }
    weights = faithful.arrays
    np.testing.assert_array_equal(weights["net0/graph.decode.weight"], weights["net1/graph.decode.weight"])
    assert (weights["net0/fusion.fuse.weight"] != weights["net1/fusion.fuse.weight"]).any()


def test_faithful_predicts_chunks_of_128_in_order(toy, faithful):
    predictor = faithful.on(toy.section, device="cpu")
    assert predictor.chunk == 128
    part = slice(128, 256)
    xy, vectors = toy.section.grid.xy[part], predictor.crops.cells(part)
    counts = predictor.counts(xy, vectors)
    np.testing.assert_allclose(predictor(slice(None)).mean[part] * toy.section.spot_cells, counts, rtol=1e-4)
    assert not np.allclose(predictor.counts(xy[:1], vectors[:1]), counts[:1], rtol=1e-3)


def test_defaults_and_what_faithful_makes_of_them():
    assert SpaBitConfig() == SpaBitConfig(
        epochs=40, states=1, learning_rate=5e-4, batch=512, hidden=64, width=128, neighbours=6
    )
    assert SpaBitConfig(faithful=True) == SpaBitConfig(
        faithful=True,
        epochs=1000,
        graph_epochs=3000,
        states=1,
        learning_rate=1e-3,
        batch=128,
        hidden=650,
        width=1024,
        neighbours=6,
    )
    with pytest.raises(ValueError, match="width=20 is not allowed; pass a multiple of 8"):
        SpaBitConfig(width=20)


def test_a_gene_without_counts_is_predicted_as_none(toy):
    counts = toy.section.counts.toarray()
    counts[:, 1] = 0
    section = replace(toy.section, counts=sp.csr_array(counts))
    mean = predict(create("spabit", SMALL | {"epochs": 2}).fit(section, seed=0, training=QUIET), section)
    assert np.isfinite(mean).all()
    assert not mean[:, 1].any()
