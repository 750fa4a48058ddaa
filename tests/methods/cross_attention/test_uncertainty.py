"""Spots that are held out, and what they tell of the image and of the error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import mean_poisson_deviance
from toys.attention import QUIET, SMALL, spot_coverage
from toys.section import toy_section

from stsr.methods import create
from stsr.methods.cross_attention import training
from stsr.methods.cross_attention.uncertainty import explained, hold_out


def test_what_is_explained_of_counts_is_told_from_what_is_not():
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 2.0, (200, 3)).astype(np.float32)
    counts, mean = rng.poisson(rates).astype(np.float32), np.full(3, 4.0)
    left, whole = (mean_poisson_deviance(counts.ravel(), told.ravel()) for told in (rates, np.full_like(rates, 4.0)))
    assert explained(mean, counts, rates) == pytest.approx(1 - left / whole, abs=1e-6)
    assert explained(mean, counts, np.full_like(rates, 4.0)) == pytest.approx(0, abs=1e-6)
    assert explained(mean, counts, rng.permutation(rates)) < 0


def test_held_out_spots_come_in_squares_and_never_all():
    rng = np.random.default_rng(0)
    rowcol = rng.integers(0, 200, (500, 2))
    held_out = hold_out(rowcol, 25, 0.1, rng)
    assert 50 <= held_out.sum() < 75
    squares = rowcol // 25
    inside = {tuple(square) for square in squares[held_out]}
    assert all(held_out[[tuple(square) in inside for square in squares]])
    few = hold_out(rowcol[:30] // 10, 25, 0.1, rng)
    assert few.sum() == 3


@pytest.mark.parametrize(
    ("many", "seed", "tells"),
    [(1000, 0, True), (1000, 0, False), (1000, 1, False), (10, 0, True), (10, 0, False), (10, 1, False)],
)
def test_an_image_that_explains_nothing_is_not_used(many, seed, tells, monkeypatch):
    """Image networks of few spots stop early and hardly leave the mean, those of many go to the end and overfit noise."""
    monkeypatch.setattr(training, "MANY", many)
    section = toy_section(shape=(80, 80), n_genes=60, seed=3).section
    if not tells:
        noise = np.random.default_rng(seed).normal(size=(section.n_features, *section.grid.shape))
        section = replace(section, features=noise.astype(np.float32))
    options = {**SMALL, "steps": 1, "passes": 1, "image_networks": 3}
    share = create("cross_attention", options).fit(section, seed=seed, training=QUIET).arrays["image_weight"]
    assert share == (0.6 if tells else 0.0)


def test_it_knows_how_far_hidden_spots_lie_from_what_it_expects():
    section = toy_section(shape=(80, 80), n_genes=12, seed=3).section
    rng = np.random.default_rng(0)
    hidden = rng.random(len(section.spots)) < 0.25
    method = create("cross_attention", SMALL).fit(section.subset(~hidden), seed=0, training=QUIET)
    told = method.on(section.subset(~hidden), device="cpu")(slice(None))
    assert 0.7 < spot_coverage(section, told, np.flatnonzero(hidden), level=0.8) < 0.9
    assert 0.88 < spot_coverage(section, told, np.flatnonzero(hidden), level=0.95) < 0.99
