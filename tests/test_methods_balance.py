"""Mass balance brings discs to what was measured, and leaves alone what already agrees."""

from __future__ import annotations

import numpy as np
from helpers import toy_section
from scipy.spatial import cKDTree

from stsr.methods.balance import Balance, taper


def learn(section, rates):
    tree = cKDTree(section.spots)
    return Balance.learn(tree, section.counts.toarray(), section.footprint @ rates, length=28.0, pseudo_count=1.5)


def test_agreement_is_left_alone():
    toy = toy_section(noise=False, depth=1e5)
    factor = learn(toy.section, toy.truth)(toy.section.grid.xy)
    np.testing.assert_allclose(factor, 1, atol=0.01)


def test_discs_come_closer_to_what_was_measured():
    section = toy_section(depth=200.0).section
    flat = np.full((section.grid.n_cells, len(section.genes)), 200 / section.spot_cells, dtype=np.float32)
    balanced = flat * learn(section, flat)(section.grid.xy)
    observed = section.counts.toarray()
    before, after = np.abs(section.footprint @ flat - observed), np.abs(section.footprint @ balanced - observed)
    assert after.mean() < 0.2 * before.mean()


def test_a_wrong_level_is_put_right_everywhere():
    toy = toy_section(noise=False, depth=1e5)
    factor = learn(toy.section, 3 * toy.truth)(toy.section.grid.xy)
    near = cKDTree(toy.section.spots).query(toy.section.grid.xy)[0] < 40
    np.testing.assert_allclose(factor[near], 1 / 3, rtol=0.02)


def test_a_single_count_moves_little():
    spots = cKDTree([[0.0, 0], [100, 0]])
    counts, predicted = np.array([[1.0], [0.0]]), np.full((2, 1), 1e-3)
    balance = Balance.learn(spots, counts, predicted, length=28.0, pseudo_count=1.0)
    assert 1.9 < balance(np.zeros((1, 2)))[0, 0] < 2.0


def test_the_taper_sums_to_one_between_spots_and_fades_beyond():
    spots = np.array([[0.0, 0], [100, 0], [50, 86.6], [150, 86.6]])
    weights = taper(cKDTree(spots), np.array([[0.0, 0], [50, 29], [5000, 0]]), 28.0).sum(axis=1)
    np.testing.assert_allclose(weights[:2], 1, atol=1e-5)
    assert weights[2] < 1e-6
