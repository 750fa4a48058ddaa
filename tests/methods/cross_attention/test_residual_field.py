"""What spots measured beyond the prediction is corrected as far as it is signal, and no noise is painted on the cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from toys.section import toy_section

from stsr.geometry import Disc, Grid
from stsr.methods.cross_attention import residual_field
from stsr.methods.cross_attention.exact_balance import ExactBalance
from stsr.methods.cross_attention.residual_field import ResidualField, correlation, efficiency, leading, solve, wendland
from stsr.metrics import lattice_imprint, spot_edges
from stsr.section import Section

PITCH = 100.0


def slide(seed=0, *, side=2400.0, genes=40, mean=6.0, signal=0.0, uneven=0.0):
    """Spots on a flat tissue whose expression has two smooth directions, and what was predicted: the mean.

    Returns the section, the (spots, genes) prediction and the true log ratios of cells.
    """
    rng = np.random.default_rng(seed)
    cells = int(side / 20)
    grid = Grid(np.diag([20.0, 20, 1]), np.ones((cells, cells), dtype=bool))
    x, y = np.meshgrid(np.arange(50, side - 49, PITCH), np.arange(50, side - 49, PITCH))
    spots = np.column_stack([x.ravel(), y.ravel()])
    loadings = rng.choice([-1.0, 1.0], (2, genes)) * signal
    means = rng.gamma(2, mean / 2, genes) + 0.2

    def ratio(xy):
        u = np.column_stack([np.sin(xy[:, 0] / 90 + 1), np.cos(xy[:, 1] / 110)])
        return u @ loadings

    own = np.exp(rng.normal(scale=uneven, size=(len(spots), 1)))
    counts = rng.poisson(means * np.exp(ratio(spots)) * own)
    library = counts.sum(axis=1).astype(np.float64)
    section = Section(
        tuple(f"G{n}" for n in range(genes)), spots, Disc(55.0), sp.csr_array(counts.astype(np.float32)), library, grid
    )
    return section, np.broadcast_to(means, counts.shape).astype(np.float32), ratio(grid.xy)


def log_factor(section, predicted):
    """(cells, genes) logarithm of the correction of every cell."""
    field = ResidualField.estimate(section, PITCH, predicted)
    return np.log(field.at(section.grid.xy).factor())


def test_noise_alone_corrects_nothing():
    section, predicted, _ = slide()
    assert np.abs(log_factor(section, predicted)).max() < 0.1


def test_signal_is_found_between_spots_too():
    section, predicted, truth = slide(signal=0.5)
    found = log_factor(section, predicted)
    centred = found - found.mean(axis=0), truth - truth.mean(axis=0)
    assert np.corrcoef(centred[0].ravel(), centred[1].ravel())[0, 1] > 0.9
    slope = (centred[0] * centred[1]).sum() / (centred[1] ** 2).sum()
    assert 0.6 < slope < 1.1


def test_a_rare_gene_is_corrected_by_what_it_shares_with_others():
    """Of a gene with half a count in a spot nothing can be told from its own counts."""
    section, predicted, truth = slide(signal=0.5, mean=0.6, genes=150)
    found, rare = log_factor(section, predicted), predicted[0] < 0.5
    assert rare.sum() > 10
    assert np.median([np.corrcoef(found[:, g], truth[:, g])[0, 1] for g in np.flatnonzero(rare)]) > 0.7


def test_a_gene_that_was_never_counted_is_left_alone():
    """As many are where half of the spots of a small section are hidden."""
    section, predicted, _ = slide(signal=0.5, genes=30)
    counts, predicted = section.counts.toarray(), predicted.copy()
    counts[:, 3] = predicted[:, 3] = 0
    counts[:, 4] = np.arange(len(counts)) == 7
    predicted[:, 4] = 1 / len(counts)
    found = log_factor(replace(section, counts=sp.csr_array(counts)), predicted)
    np.testing.assert_allclose(found[:, 3], 0, atol=1e-3)
    assert np.abs(found[:, 4]).max() < 0.3


def test_totals_of_genes_are_kept():
    section, predicted, _ = slide(signal=0.5, uneven=0.3)
    field = ResidualField.estimate(section, PITCH, predicted)
    sums = (predicted * field.at(section.spots).factor()).sum(axis=0)
    np.testing.assert_allclose(sums, section.counts.sum(axis=0), rtol=0.02)


def test_a_wrong_level_is_put_right():
    section, predicted, _ = slide()
    np.testing.assert_allclose(log_factor(section, 3 * predicted), -np.log(3), atol=0.15)


def test_efficiency_of_spots_is_not_painted_on_cells():
    section, predicted, _ = slide(uneven=0.35)
    own = np.log(section.library / section.library.mean())
    assert own.std() > 0.3
    under = ResidualField.estimate(section, PITCH, predicted)
    factor = np.log(under.at(section.spots).factor()).mean(axis=1)
    slope = np.polyfit(own, factor, 1)[0]
    assert abs(slope) < 0.15


def test_efficiency_is_what_no_other_spot_has():
    section, predicted, _ = slide(uneven=0.35)
    spots, counts = cKDTree(section.spots), section.counts.toarray()
    truth = np.log(counts.sum(axis=1) / predicted.sum(axis=1))
    told = efficiency(counts, predicted, spots, PITCH)
    assert np.corrcoef(told, truth)[0, 1] > 0.95
    hill = 1 + np.sin(section.spots[:, :1] / 500)  # of the tissue: neighbours have it too
    smooth = np.random.default_rng(0).poisson(predicted * hill)
    assert efficiency(smooth, predicted, spots, PITCH).std() < 0.25 * np.log(hill).std()


def test_the_lattice_does_not_show():
    """Spots that differ in efficiency, on a prediction that is right: exact balance paints them, the signal does not."""
    fine = toy_section(shape=(160, 160), bin_size=8.0, pitch=100.0, n_genes=12, seed=2)
    rng = np.random.default_rng(0)
    uneven = np.exp(rng.normal(scale=0.35, size=(len(fine.section.spots), 1)))
    predicted = fine.section.footprint @ fine.truth
    counts = rng.poisson(predicted * uneven).astype(np.float32)
    section = replace(fine.section, counts=sp.csr_array(counts), library=counts.sum(axis=1).astype(np.float64))
    xy = section.grid.xy
    edges = spot_edges(xy, section.spots, diameter=55.0, pitch=PITCH, bin_size=8.0)

    def shown(correction):
        return lattice_imprint(fine.truth * correction.at(xy).factor(), edges)

    field = shown(ResidualField.estimate(section, PITCH, predicted))
    exact = shown(ExactBalance(section, cKDTree(section.spots), PITCH, predicted))
    assert field.p_all > 0.05
    assert exact.p_all < 0.01
    assert abs(np.log(field.imprint.mean())) < 0.2 * np.log(exact.imprint.mean())


@given(st.integers(0, 3), st.integers(1, 12), st.integers(0, 50))
@settings(max_examples=25)
def test_any_few_spots_and_genes_give_finite_factors(spots, genes, seed):
    section, predicted, _ = slide(seed, side=400.0, genes=genes, signal=0.5, uneven=0.5)
    few = section.subset(np.arange(spots))
    field = ResidualField.estimate(few, PITCH, predicted[:spots])
    told = field.at(few.grid.xy)
    factor = told.factor()
    assert factor.shape == (few.grid.n_cells, genes)
    assert np.isfinite(factor).all()
    assert (factor > 0).all()
    assert told.known.shape == (few.grid.n_cells, spots)
    assert told.known.sum(axis=1).max(initial=0) <= 1


def test_spots_beside_the_tissue_say_nothing():
    section, predicted, _ = slide(signal=0.5)
    mask = section.grid.mask.copy()
    mask[:, 60:] = False
    cut = replace(section, grid=Grid(section.grid.affine, mask))
    counts = section.counts.toarray()
    counts[section.spots[:, 0] > 1230] *= 50
    loud = replace(cut, counts=sp.csr_array(counts))
    np.testing.assert_allclose(log_factor(loud, predicted), log_factor(cut, predicted), atol=1e-5)


def test_components_of_noise_are_none_and_variances_are_put_right():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 100))
    assert leading(noise, np.ones_like(noise))[0].shape == (400, 0)
    direction = rng.normal(size=100)
    direction /= np.linalg.norm(direction)
    signal = rng.normal(scale=2.0, size=(400, 1)) * direction
    scores, variance, error, found = leading(noise + signal, np.ones_like(noise))
    assert scores.shape == error.shape == (400, 1)
    assert variance[0] == pytest.approx(4, rel=0.2)
    assert abs(found[:, 0] @ direction) > 0.9


def test_the_system_is_solved_as_scipy_solves_it():
    spots = cKDTree(np.random.default_rng(0).uniform(0, 1000, (60, 2)))
    correlated, noise, values = correlation(spots, spots, 300.0), np.linspace(0.1, 2, 60), np.arange(60.0)
    np.testing.assert_allclose(
        solve(correlated, 1.5, noise, values),
        np.linalg.solve(1.5 * correlated.toarray() + np.diag(noise), values),
        rtol=1e-2,
        atol=1e-2,
    )


def test_the_correlation_is_one():
    """No negative eigenvalue, however spots lie, and no kink at 0."""
    rng = np.random.default_rng(1)
    for points in (rng.uniform(0, 1000, (80, 2)), np.column_stack([np.arange(80.0) * 20, np.zeros(80)])):
        tree = cKDTree(points)
        matrix = correlation(tree, tree, 350.0).toarray()
        np.testing.assert_allclose(np.diag(matrix), 1)
        assert np.linalg.eigvalsh(matrix).min() > -1e-9
    assert 1 - wendland(np.array([1e-3]))[0] < 1e-4


def test_the_range_follows_how_alike_neighbours_are():
    rng = np.random.default_rng(0)
    spots = cKDTree(np.array([[x, y] for x in range(0, 3000, 100) for y in range(0, 3000, 100)], dtype=float))
    for reach in (1.2, 2.0, 4.0):
        root = np.linalg.cholesky(correlation(spots, spots, reach * PITCH).toarray() + 1e-9 * np.eye(spots.n))
        scores = root @ rng.normal(size=(spots.n, 3))
        assert residual_field.correlation_range(scores, np.ones(3), spots, PITCH) == pytest.approx(reach * PITCH)
