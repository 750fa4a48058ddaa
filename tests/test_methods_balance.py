"""Mass balance meets what was measured exactly, and tells the places between spots no more than is known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import toy_section
from scipy.spatial import cKDTree

from stsr.geometry import Disc
from stsr.methods.balance import CERTAIN, Balance

EDGE, LENGTH = 8.0, 45.0


def balance(section, rates):
    """(cells, genes) factor for every cell of a section."""
    counts, predicted, xy = section.counts.toarray(), section.footprint @ rates, section.grid.xy
    spots = cKDTree(section.spots)
    learned = Balance(spots, section.aperture, counts, section.footprint, xy, edge=EDGE, length=LENGTH)
    learned.meet(np.arange(len(counts)), predicted)
    return learned.factor(*learned.weights(xy))


def test_agreement_is_left_alone():
    toy = toy_section(noise=False, depth=1e5)
    np.testing.assert_allclose(balance(toy.section, toy.truth), 1, atol=0.01)


@pytest.mark.parametrize("bin_size", [4.0, 8.0, 16.0])
def test_spots_with_many_counts_are_met_to_a_hundredth(bin_size):
    """Of cells of 16 µm, many are covered in part."""
    cells = round(448 / bin_size)
    section = toy_section(shape=(cells, cells), bin_size=bin_size, pitch=80.0, depth=60.0).section
    flat = np.full((section.grid.n_cells, len(section.genes)), 60 / section.spot_cells, dtype=np.float32)
    balanced = section.footprint @ (flat * balance(section, flat))
    observed = section.counts.toarray()
    many = observed > CERTAIN
    assert many.sum() > 50
    np.testing.assert_allclose(balanced[many] / observed[many], 1, atol=0.01)


def test_cells_wider_than_spots_are_not_driven_to_extremes():
    section = toy_section(shape=(9, 9), bin_size=100.0, pitch=170.0).section
    area = section.footprint.sum(axis=1)
    flat = np.ones((section.grid.n_cells, 1), dtype=np.float32) * section.counts.sum(axis=0) / area.sum()
    ratio = np.log((section.counts.toarray() + 1) / (section.footprint @ flat + 1))
    assert np.abs(np.log(balance(section, flat))).max() < 3 * np.abs(ratio).max()


def test_a_wrong_level_is_put_right_everywhere():
    toy = toy_section(noise=False, depth=1e5)
    factor = balance(toy.section, 3 * toy.truth)
    near = cKDTree(toy.section.spots).query(toy.section.grid.xy)[0] < 40
    np.testing.assert_allclose(factor[near], 1 / 3, rtol=0.02)


def of_points(spots, counts):
    """A balance of Visium spots on tissue whose cells are points on their centres."""
    spots, one_each = np.array(spots), sp.eye_array(len(counts), format="csr")
    return Balance(cKDTree(spots), Disc(55.0), np.array(counts), one_each, spots, edge=12.0, length=70.0)


def learn_two(counts, predicted):
    learned = of_points([[0.0, 0], [100, 0]], counts)
    learned.meet(np.arange(2), np.array(predicted))
    return learned


def test_a_single_count_moves_its_spot_and_hardly_what_lies_between():
    learned = learn_two([[3.0], [1.0]], [[1.0], [1.0]])
    under, between = learned.factor(*learned.weights(np.array([[0.0, 0], [60, 0]])))[:, 0]
    assert 1.5 < under < 2
    assert 1 < between < 1.2


def test_under_a_spot_the_field_is_one_number_and_it_leaves_without_a_jump():
    learned = learn_two([[40.0], [10.0]], [[10.0], [10.0]])
    x = np.linspace(0, 100, 2001)
    factor = learned.factor(*learned.weights(np.column_stack([x, 0 * x])))[:, 0]
    np.testing.assert_allclose(factor[x < 27], 4, rtol=1e-3)
    assert np.abs(np.diff(np.log(factor))).max() < 0.01


def test_weights_sum_to_one_among_spots_and_fade_beyond():
    learned = of_points([[0.0, 0], [100, 0], [50, 86.6], [150, 86.6]], np.zeros((4, 1)))
    held, around = learned.weights(np.array([[0.0, 0], [50, 29], [5000, 0]]))
    total = held.sum(axis=1) + around.sum(axis=1)
    np.testing.assert_allclose(total[:2], 1, atol=1e-5)
    assert total[2] < 1e-6
