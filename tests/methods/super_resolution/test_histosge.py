"""HisToSGE on a small section: what it learns, how counts come back, and what faithful changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from toys.section import MPP, toy_section

from stsr.geometry import Square
from stsr.methods import Training, create
from stsr.methods.super_resolution.histosge import HistoSgeConfig

QUIET = Training(device="cpu", progress=False)


@pytest.fixture(scope="module")
def toy():
    return toy_section(shape=(26, 28), bin_size=16.0)


@pytest.fixture(scope="module")
def fitted(toy):
    options = {"epochs": 12, "patience": 12, "batch": 8, "learning_rate": 1e-3}
    return create("histosge", options).fit(toy.section, seed=0, training=QUIET)


@pytest.fixture(scope="module")
def faithful(toy):
    return create("histosge", {"faithful": True, "epochs": 2}).fit(toy.section, seed=0, training=QUIET)


def predict(method, section):
    return method.on(section, device="cpu")(slice(None)).mean


def test_it_learns(toy, fitted):
    assert fitted.history["train"][-1] < 0.3 * fitted.history["train"][0]
    mean = predict(fitted, toy.section)
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(mean.T, toy.truth.T, strict=True)]
    assert min(r[:2]) > 0.6  # the genes that follow the trend
    np.testing.assert_allclose(mean.mean(axis=0), toy.truth.mean(axis=0), rtol=0.25)


def test_the_spots_learned_from_add_up(toy, fitted):
    crops = fitted.on(toy.section, device="cpu").crops
    counts = fitted._counts(crops, "cpu")(toy.section.spots, crops.spots)
    np.testing.assert_allclose(counts.sum(axis=0), toy.section.counts.sum(axis=0), rtol=1e-2)


def test_counts_grow_with_the_depth_around(toy, fitted):
    deeper = replace(toy.section, library=toy.section.library * 3)
    np.testing.assert_allclose(predict(fitted, deeper), 3 * predict(fitted, toy.section), rtol=1e-4)


def test_no_spots_expression_is_looked_at(toy, fitted):
    other = replace(toy.section, counts=sp.csr_array(toy.section.counts * 7))
    np.testing.assert_array_equal(predict(fitted, other), predict(fitted, toy.section))


def test_no_cell_has_a_larger_share_than_any_spot(toy, fitted):
    section = toy.section
    share = (section.counts.toarray() / section.library[:, None]).max(axis=0)
    most = share * section.library.max() / section.spot_cells * fitted.arrays["factor"]
    wild = create("histosge", {"epochs": 1}).fit(section, seed=0, training=QUIET)
    wild.arrays = fitted.arrays | {"net0/head.out.bias": np.full(len(section.genes), 1e3, dtype=np.float32)}
    assert (predict(wild, section) <= most * 1.001).all()


def test_a_cell_is_predicted_as_if_it_were_alone(toy, fitted):
    predictor = fitted.on(toy.section, device="cpu")
    xy, vectors = toy.section.grid.xy[50:100], predictor.crops.cells(slice(50, 100))
    together = predictor.counts(xy, vectors)
    np.testing.assert_allclose(predictor.counts(xy[:1], vectors[:1]), together[:1], rtol=1e-4)


def test_a_crop_is_the_spot_or_when_faithful_50_pixels(toy, fitted, faithful):
    assert fitted.on(toy.section, device="cpu").crops.crop == toy.section.aperture
    assert faithful.on(toy.section, device="cpu").crops.crop == Square(50 * MPP)


def test_places_are_a_pitch_apart_or_when_faithful_512_to_the_section(toy, fitted, faithful):
    xy = toy.section.grid.xy
    ours, published = fitted._places(xy), faithful._places(xy)
    np.testing.assert_allclose(np.ptp(ours, axis=0) * 62.0, np.ptp(xy, axis=0), rtol=1e-3)
    np.testing.assert_array_equal(published, np.floor(published))
    assert published.min() >= 0
    assert 450 < published.max() < 512
    assert len(np.unique(faithful._places(toy.section.spots)[:, 1])) < 60  # of 512: the others are never learned


def test_faithful_predicts_chunks_of_50_in_order(toy, faithful):
    predictor = faithful.on(toy.section, device="cpu")
    assert predictor.chunk == 50
    xy, vectors = toy.section.grid.xy[50:100], predictor.crops.cells(slice(50, 100))
    np.testing.assert_allclose(
        predictor(slice(None)).mean[50:100] * toy.section.spot_cells, predictor.counts(xy, vectors), rtol=1e-4
    )
    alone = predictor.counts(xy[:1], vectors[:1])
    assert not np.allclose(alone, predictor.counts(xy, vectors)[:1], rtol=1e-3)


def test_the_median_of_several_networks(toy):
    method = create("histosge", {"epochs": 1, "states": 3}).fit(toy.section, seed=0, training=QUIET)
    assert set(method.history) == {f"{name}{state}" for name in ("train", "held_out") for state in ("", " 2", " 3")}
    assert np.isfinite(predict(method, toy.section)).all()


def test_defaults_and_what_faithful_makes_of_them():
    assert HistoSgeConfig() == HistoSgeConfig(epochs=200, states=1, learning_rate=3e-4, batch=128, points=19)
    assert HistoSgeConfig(faithful=True) == HistoSgeConfig(
        faithful=True, epochs=1000, states=1, learning_rate=1e-3, batch=50, points=50
    )


def test_a_gene_without_counts_is_predicted_as_none(toy):
    counts = toy.section.counts.toarray()
    counts[:, 1] = 0
    section = replace(toy.section, counts=sp.csr_array(counts))
    mean = predict(create("histosge", {"epochs": 2}).fit(section, seed=0, training=QUIET), section)
    assert np.isfinite(mean).all()
    assert not mean[:, 1].any()
