"""Mass balance meets what was measured exactly, and tells the places between spots no more than is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from toys.border import cut, cut_toy
from toys.section import toy_section

from stsr.geometry import Disc, Grid, Square
from stsr.methods.cross_attention.exact_balance import CERTAIN, ExactBalance
from stsr.section import Section

PITCH = 65.0
"""What a spot's own ratio and that of spots around reach is told in."""


def balance(section, rates):
    """(cells, genes) factor for every cell of a section."""
    xy = section.grid.xy
    learned = ExactBalance(section, cKDTree(section.spots), PITCH, section.footprint @ rates)
    return learned.at(xy).factor()


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
    many = (observed > CERTAIN) & (section.covered == 1)[:, None]
    assert many.sum() > 40
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


def of_points(spots, counts, predicted):
    """A balance of Visium spots on tissue whose cells are points on their centres."""
    spots, one_each = np.array(spots), sp.eye_array(len(counts), format="csr")
    covered, counts = np.ones(len(counts), dtype=np.float32), sp.csr_array(np.array(counts))
    grid = SimpleNamespace(xy=spots)
    section = SimpleNamespace(aperture=Disc(55.0), covered=covered, counts=counts, footprint=one_each, grid=grid)
    return ExactBalance(section, cKDTree(spots), 100.0, np.array(predicted))


def learn_two(counts, predicted):
    return of_points([[0.0, 0], [100, 0]], counts, predicted)


def test_a_single_count_moves_its_spot_and_hardly_what_lies_between():
    learned = learn_two([[3.0], [1.0]], [[1.0], [1.0]])
    under, between = learned.at(np.array([[0.0, 0], [60, 0]])).factor()[:, 0]
    assert 1.5 < under < 2
    assert 1 < between < 1.2


def test_under_a_spot_the_field_is_one_number_and_it_leaves_without_a_jump():
    learned = learn_two([[40.0], [10.0]], [[10.0], [10.0]])
    x = np.linspace(0, 100, 2001)
    factor = learned.at(np.column_stack([x, 0 * x])).factor()[:, 0]
    np.testing.assert_allclose(factor[x < 27], 4, rtol=1e-3)
    assert np.abs(np.diff(np.log(factor))).max() < 0.01


def test_weights_sum_to_one_among_spots_and_fade_beyond():
    learned = of_points([[0.0, 0], [100, 0], [50, 86.6], [150, 86.6]], np.zeros((4, 1)), np.zeros((4, 1)))
    weights = learned.at(np.array([[0.0, 0], [50, 29], [5000, 0]]))
    total = weights.held.sum(axis=1) + weights.around.sum(axis=1)
    np.testing.assert_allclose(total[:2], 1, atol=1e-5)
    assert total[2] < 1e-6


@pytest.mark.parametrize("at", [0.5, 0.53, 0.56])
@pytest.mark.parametrize("angle", [0.0, 1.0])
def test_where_the_mask_cuts_spots_no_cell_stands_out(angle, at):
    """Half of a disc is not told the counts of all of it.

    What is left is what half of a disc has more or less than the whole: in the toy fine structure, up to a quarter.
    """
    toy, section = cut_toy(angle, at, noise=False, depth=1e5)
    assert (section.covered < 0.8).sum() >= 2
    factor = balance(section, toy.truth)
    assert 0.8 < factor.min() < factor.max() < 1.35
    under = np.unique(section.footprint[section.covered < 1].indices)
    assert factor[under].mean() == pytest.approx(1, abs=0.06)


def test_where_the_mask_is_right_spots_at_the_border_are_left_alone_too():
    """What a disc measured then came from its part on tissue: the model, which says so, is not dimmed."""
    toy, section = cut_toy(0.5, 0.55, noise=False, depth=1e5)
    measured = section.footprint @ toy.truth
    right = replace(section, counts=sp.csr_array(measured), library=measured.sum(axis=1))
    np.testing.assert_allclose(balance(right, toy.truth), 1, atol=0.02)


@given(st.floats(0, 2 * np.pi), st.floats(0.3, 0.9), st.floats(-2, 2), st.integers(0, 100))
@settings(max_examples=25)
def test_a_disc_pushes_no_more_than_its_share_into_its_cells(angle, at, level, seed):
    toy, section = cut_toy(angle, at, n_genes=2, seed=seed)
    rates = toy.truth * np.float32(np.exp(level))
    predicted, share = section.footprint @ rates, section.covered[:, None] * section.counts.toarray()
    balanced = section.footprint @ (rates * balance(section, rates))
    alone = section.covered < 1
    # What neighbours say of a disc that is hardly there, pseudo-counts, and cells that two discs share.
    assert (balanced <= 1.15 * np.maximum(predicted, share) + 2)[alone].all()


def test_spots_away_from_the_border_are_met_as_without_it():
    toy, section = cut_toy(0.0, 0.55)
    flat = np.full_like(toy.truth, toy.truth.mean())
    before = balance(section, flat)
    inside = section.covered == 1
    far = section.spots[:, 0] < section.spots[~inside, 0].min() - 150
    wide = toy_section().section
    wide = wide.subset(wide.covered == 1)
    whole = balance(wide, np.full((wide.grid.n_cells, len(wide.genes)), toy.truth.mean()))
    at = {tuple(place): cell for cell, place in enumerate(wide.grid.rowcol.tolist())}
    same = [at[tuple(place)] for place in section.grid.rowcol.tolist()]
    under = np.unique(section.footprint[inside & far].indices)
    assert far.sum() > 3
    np.testing.assert_allclose(before[under], whole[same][under], rtol=1e-3)


def test_bins_at_the_border_of_a_finer_grid_push_no_more_than_their_share():
    """Visium HD: squares of 16 µm, cells of 4 µm, and a mask that is cut through them."""
    grid = Grid(np.diag([4.0, 4, 1]), np.ones((40, 40), dtype=bool))
    centres = Grid(np.diag([16.0, 16, 1]), np.ones((10, 10), dtype=bool)).xy
    counts = sp.csr_array(np.full((100, 1), 160.0, dtype=np.float32))
    whole = Section(("A",), centres, Square(16.0), counts, np.full(100, 160.0), grid)
    section = cut(whole, grid.xy[:, 0] < 70)
    near = section.subset(section.covered > 0)
    assert sorted(np.unique(near.covered).tolist()) == pytest.approx([0.25, 1])
    np.testing.assert_allclose(balance(near, np.full((section.grid.n_cells, 1), 10.0)), 1, atol=0.01)
    dim = balance(near, np.full((section.grid.n_cells, 1), 5.0))
    np.testing.assert_allclose(dim, 2, rtol=0.2)
