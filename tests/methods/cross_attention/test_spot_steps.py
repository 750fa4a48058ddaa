"""Steps of a prediction at the edges of spots are taken out, and the tissue's own are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from toys.section import toy_section

from stsr.geometry import Square
from stsr.methods.cross_attention.correction import SignalCorrection
from stsr.methods.cross_attention.diffusion import Diffusion
from stsr.methods.cross_attention.half_grid_sums import every_second, thinned
from stsr.methods.cross_attention.spot_steps import Edges, certain_mean, equal_diameter, larger
from stsr.metrics import lattice_imprint, spot_edges

PITCH = 100.0
SPREAD = Diffusion(1.0)


@pytest.fixture(scope="module")
def toy():
    return toy_section(shape=(160, 160), bin_size=8.0, pitch=PITCH, n_genes=12, seed=2)


@pytest.fixture(scope="module")
def edges(toy):
    return spot_edges(toy.section.grid.xy, toy.section.spots, diameter=55.0, pitch=PITCH, bin_size=8.0)


def corrected(section, rates):
    """Predicted (cells, genes) rates, spread and corrected, and the correction."""
    found = SignalCorrection.estimate(section, PITCH, SPREAD, lambda weights: weights @ rates)
    return SPREAD(rates, section.grid.mask) * found.at(section.grid.xy).factor(), found


def painted(toy, mean, sd, seed=0):
    """The truth, with discs that stand out by a share of their own at every spot."""
    rng, section = np.random.default_rng(seed), toy.section
    distance, nearest = cKDTree(section.spots).query(section.grid.xy)
    share = np.exp(mean + rng.normal(scale=sd, size=toy.section.counts.shape))
    return np.where((distance < 27.5)[:, None], share[nearest], 1).astype(np.float32) * toy.truth


def test_the_mean_disc_is_taken_out(toy, edges):
    """Bright or dark, if all spots have it alike."""
    for mean in (0.2, -0.2):
        rates = painted(toy, mean, 0.0)
        before = lattice_imprint(SPREAD(rates, toy.section.grid.mask), edges)
        after = lattice_imprint(corrected(toy.section, rates)[0], edges)
        assert before.p_all < 0.01
        assert abs(before.step.mean()) > 0.09
        assert after.p_all > 0.05
        assert abs(after.step.mean()) < 0.01


def test_discs_of_every_spot_are_brought_down_to_the_tissue(toy, edges):
    rates = painted(toy, 0.0, 0.15)
    before = lattice_imprint(SPREAD(rates, toy.section.grid.mask), edges)
    after = lattice_imprint(corrected(toy.section, rates)[0], edges)
    assert before.p_all < 0.01
    assert np.log(after.imprint).mean() < 0.2 * np.log(before.imprint).mean()
    assert after.imprint.min() > 0.9  # and not below it


def test_what_the_tissue_has_is_left(toy):
    """Of a prediction without discs next to nothing is taken."""
    steps = corrected(toy.section, toy.truth)[1].steps
    assert np.abs(steps.share).mean() < 0.02


def test_totals_of_genes_are_kept(toy):
    section = toy.section
    after, found = corrected(section, painted(toy, 0.2, 0.15))
    whole = section.covered == 1
    sums = (section.footprint @ after)[whole]
    np.testing.assert_allclose(sums.sum(axis=0), section.counts[np.flatnonzero(whole)].sum(axis=0), rtol=0.04)
    measured = section.counts[np.flatnonzero(whole)].sum(axis=1)
    assert found.deviation == pytest.approx(np.median(np.abs(sums.sum(axis=1) / measured - 1)), abs=0.02)


def test_spots_that_touch_have_no_edges(toy):
    """Bins that cover the tissue, as spots, have nothing between them."""
    assert not Edges.of(replace(toy.section, aperture=Square(100.0)), PITCH).seen.size
    assert Edges.of(toy.section, PITCH).seen.size


def test_of_a_few_spots_nothing_is_taken(toy):
    few = toy.section.subset(np.arange(20))
    found = corrected(few, painted(toy, 0.4, 0.2))[1].steps
    assert not found.share.any()
    assert len(found.share) == 1
    np.testing.assert_array_equal(found.level, 1)


def test_a_gene_that_is_never_predicted_is_left_at_nothing(toy):
    rates = painted(toy, 0.2, 0.1)
    rates[:, 3] = 0
    after = corrected(toy.section, rates)[0]
    assert np.isfinite(after).all()
    assert not after[:, 3].any()


@given(st.integers(1, 60), st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_any_spots_give_finite_factors_above_zero(toy, spots, seed):
    order = np.random.default_rng(seed).permutation(len(toy.section.spots))[:spots]
    found = corrected(toy.section.subset(order), painted(toy, 0.0, 0.5, seed))[1]
    factor = found.at(toy.section.grid.xy).factor()
    assert np.isfinite(factor).all()
    assert (factor > 0).all()


def test_a_mean_that_may_be_chance_is_drawn_to_nothing():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 50))
    weights = np.ones_like(noise)
    drawn = certain_mean(noise, weights)
    assert (drawn == 0).mean() > 0.5
    assert np.abs(drawn).max() <= np.abs(noise.mean(axis=0)).max()
    np.testing.assert_allclose(certain_mean(noise + 1, weights), 1 + noise.mean(axis=0), rtol=0.01)


def test_how_many_times_larger_steps_are():
    rng = np.random.default_rng(0)
    scale = rng.gamma(1, size=30)
    steps, elsewhere = rng.normal(size=(2000, 30)) * 1.5 * scale, rng.normal(size=(5000, 30)) * scale
    np.testing.assert_allclose(larger(steps, elsewhere), 1.5, rtol=0.04)
    np.testing.assert_array_equal(larger(elsewhere, steps), 1)
    np.testing.assert_array_equal(larger(np.zeros((6, 2)), np.zeros((6, 2))), 1)
    differ = np.linspace(1.2, 3, 30)
    np.testing.assert_allclose(larger(steps / 1.5 * differ, elsewhere), differ, rtol=0.05)
    # Of few spots little is known of one gene, and all say the same.
    few = np.exp(np.abs(np.log(larger(steps[:20], elsewhere) / 1.5)).mean())
    assert few < np.exp(np.abs(np.log(np.sqrt((steps[:20] ** 2).mean(0) / (elsewhere**2).mean(0)) / 1.5)).mean())


def test_thinned_weights_give_the_sums_of_spread_rates(toy):
    """Of signed weights too: on even rates a step is nothing, on others what all cells give."""
    section, spread = toy.section, SPREAD(toy.truth, toy.section.grid.mask)
    edges = Edges.of(section, PITCH)
    for weights in (section.footprint, edges.true):
        half = thinned(weights, SPREAD, section.grid)
        assert half.nnz < 0.6 * SPREAD.footprint(abs(weights), section.grid).nnz
        even = np.ones((section.grid.n_cells, 1), dtype=np.float32)
        np.testing.assert_allclose(half @ even, weights @ even, atol=1e-4)
        whole, of_half = weights @ spread, half @ toy.truth
        assert np.corrcoef(whole.ravel(), of_half.ravel())[0, 1] > 0.98


def test_every_second_cell_stands_for_a_disc(toy):
    section = toy.section
    discs = every_second(section.footprint, section.grid.rowcol)
    assert discs.nnz < 0.6 * section.footprint.nnz
    np.testing.assert_allclose(discs.sum(axis=1), section.footprint.sum(axis=1), rtol=1e-5)
    truth, sums = section.footprint @ toy.truth, discs @ toy.truth
    assert np.abs(sums[section.covered == 1] / truth[section.covered == 1] - 1).mean() < 0.05


def test_a_disc_of_one_cell_is_not_lost():
    rowcol = np.array([[0, 1], [0, 2]])
    discs = sp.csr_array(np.array([[1.0, 0], [0, 1], [0, 0]], dtype=np.float32))
    np.testing.assert_array_equal(every_second(discs, rowcol).toarray(), discs.toarray())


def test_a_square_is_taken_for_a_disc_of_its_area(toy):
    assert equal_diameter(replace(toy.section, aperture=Square(10.0))) == pytest.approx(20 / np.sqrt(np.pi))
