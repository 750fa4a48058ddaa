"""The imprint of spots on maps of which it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from toys.attention import QUIET, SMALL, whole
from toys.section import hex_lattice, toy_section

import stsr
from stsr.methods import create
from stsr.metrics import LatticeImprint, SpotEdges, lattice_imprint, spot_edges

SIDE = 120
"""Cells to the side of a section."""


def cells(bin_size=8.0):
    return (np.argwhere(np.ones((SIDE, SIDE)))[:, ::-1] + 0.5) * bin_size


def square_lattice(width, pitch):
    """A slide lies a little askew, so that no two spots lie alike on the cells."""
    steps = np.arange(-width, 2 * width, pitch)
    turn = np.array([[np.cos(0.1), np.sin(0.1)], [-np.sin(0.1), np.cos(0.1)]])
    spots = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) @ turn
    return spots[((spots > 0) & (spots < width)).all(axis=1)]


def smooth_fields(number, sigma=4.0, seed=0):
    """(cells, number) positive random fields; ``sigma`` in cells."""
    rng = np.random.default_rng(seed)
    noise = [gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma, mode="wrap").ravel() for _ in range(number)]
    return np.exp(np.column_stack(noise) * sigma * 2)


def discs(field, xy, spots, diameter, sd, seed=1):
    """The field times the noise of each spot, inside its disc."""
    distance, nearest = cKDTree(spots).query(xy)
    noise = np.random.default_rng(seed).normal(0, sd, (len(spots), field.shape[1]))
    return field * np.where((distance < diameter / 2)[:, None], np.exp(noise[nearest]), 1)


XY = cells()
SPOTS = hex_lattice(SIDE * 8, SIDE * 8, 100.0)
VISIUM = {"diameter": 55.0, "pitch": 100.0, "bin_size": 8.0}
EDGES = spot_edges(XY, SPOTS, **VISIUM)
FIELDS = smooth_fields(20)


def test_a_step_is_that_of_a_plane_with_a_jump_at_the_edge():
    """Spot by spot, by numpy's least squares."""
    nearest = cKDTree(SPOTS).query(XY)[1]
    found = EDGES.steps[0] @ FIELDS
    inside = ((SPOTS > 40) & (SPOTS < SIDE * 8 - 40)).all(axis=1)  # 12 µm beyond the edge lie on cells
    assert inside.sum() > 50
    for number in np.flatnonzero(inside):
        distance = np.hypot(*(XY - SPOTS[number]).T)
        band = (nearest == number) & (np.abs(distance - 27.5) < 12)
        design = np.column_stack([distance[band] <= 27.5, np.ones(band.sum()), XY[band]])
        np.testing.assert_allclose(found[number], np.linalg.lstsq(design, FIELDS[band])[0][0], atol=1e-4)


def test_the_imprint_is_the_ratio_of_root_mean_squares_on_spots_that_are_seen():
    found = lattice_imprint(FIELDS, EDGES)
    seen = np.array([np.abs(operator).sum(axis=1) > 0 for operator in EDGES.steps])
    squares = np.array([operator @ FIELDS for operator in EDGES.steps]) ** 2
    squares[~seen] = np.nan
    used = seen[0] & (np.mean(seen[1:], axis=0) >= 0.5)
    true, displaced = squares[0, used].mean(axis=0), np.nanmean(squares[1:, used], axis=0).mean(axis=0)
    np.testing.assert_allclose(found.imprint, np.sqrt(true / displaced), rtol=1e-4)


def test_a_slope_is_no_step():
    plane = (1 + XY @ [[2.0, -1.0], [0.5, 3.0]]) / 100
    assert max(np.abs(operator @ plane).max() for operator in EDGES.steps) < 1e-4


def test_a_field_that_knows_nothing_of_the_spots_has_no_imprint():
    found = lattice_imprint(FIELDS, EDGES)
    assert found.imprint.mean() == pytest.approx(1, abs=0.1)
    assert (found.p > 0.05).mean() >= 0.85
    assert found.p_all > 0.05
    assert np.abs(found.step).max() < 0.05


@pytest.mark.parametrize("sigma", [2.0, 4.0, 8.0])
def test_p_is_small_no_more_often_than_it_says(sigma):
    small = []
    for seed in range(5):
        edges = spot_edges(XY, SPOTS + np.random.default_rng(seed).uniform(0, 100, 2), seed=seed, **VISIUM)
        small.append(lattice_imprint(smooth_fields(40, sigma, seed=100 + seed), edges).p < 0.1)
    assert 0 < np.mean(small) < 0.13


def test_the_imprint_grows_with_the_noise_of_the_spots():
    found = [lattice_imprint(discs(FIELDS, XY, SPOTS, 55, sd), EDGES) for sd in (0, 0.2, 0.4, 0.8)]
    means = [each.imprint.mean() for each in found]
    assert means == sorted(means)
    assert means[-1] > 2
    assert (found[-1].p < 0.05).mean() > 0.9
    assert found[-1].p_all < 1e-4


def test_discs_that_are_brighter_on_the_whole_have_a_step_above_0():
    inside = cKDTree(SPOTS).query(XY)[0] < 27.5
    for factor in (1.3, 0.7):
        found = lattice_imprint(FIELDS * np.where(inside, factor, 1)[:, None], EDGES)
        np.testing.assert_allclose(found.step, factor - 1, atol=0.1)
        assert found.imprint.min() > 1.5


def test_nearest_is_flat_at_the_edges_and_idw_steep():
    """Plateaus of ``nearest`` reach to half the pitch, beyond the outer band: nothing is less steep than they are."""
    values = np.random.default_rng(0).lognormal(0, 0.5, (len(SPOTS), 3))
    distance, spot = cKDTree(SPOTS).query(XY, k=8)
    weight = 1 / distance**2
    idw = np.einsum("cs,csg->cg", weight, values[spot]) / weight.sum(axis=1)[:, None]
    flat, steep = (lattice_imprint(field, EDGES) for field in (values[spot[:, 0]], idw))
    np.testing.assert_allclose(flat.imprint, 0, atol=1e-5)
    assert steep.imprint.min() > 2
    assert max(flat.p_all, steep.p_all) < 1e-4


def test_a_cell_belongs_to_the_nearest_spot_alone():
    values = np.random.default_rng(0).lognormal(0, 0.5, (len(SPOTS), 3))
    spots = SPOTS * 0.6 + 0.3  # 60 µm apart, so that the outer band reaches the neighbours
    edges = spot_edges(XY, spots, diameter=55, pitch=60, bin_size=8)
    field = values[cKDTree(spots).query(XY)[1]]
    np.testing.assert_allclose(lattice_imprint(field, edges).imprint, 0, atol=1e-5)


@pytest.mark.parametrize(
    ("bin_size", "diameter", "pitch"),
    [(16.0, 100.0, 200.0), (8.0, 55.0, 60.0), (20.0, 55.0, 100.0)],
    ids=["legacy ST", "spots side by side", "wide cells"],
)
def test_other_lattices_and_cells(bin_size, diameter, pitch):
    xy, spots = cells(bin_size), square_lattice(SIDE * bin_size, pitch)
    edges = spot_edges(xy, spots, diameter=diameter, pitch=pitch, bin_size=bin_size, seed=3)
    assert (np.diff(edges.steps[0].indptr) > 0).mean() > 0.6
    assert lattice_imprint(FIELDS, edges).p_all > 0.05
    printed = lattice_imprint(discs(FIELDS, xy, spots, diameter, 1.5), edges)
    assert printed.imprint.mean() > 1.3
    assert printed.p_all < 0.01


def test_spots_on_the_border_of_the_tissue_are_left_out():
    on = XY[:, 0] < 500
    steps = spot_edges(XY[on], SPOTS, **VISIUM).steps[0]
    seen = SPOTS[np.diff(steps.indptr) > 0, 0]
    assert 440 < seen.max() < 500 - 27.5  # discs lie on cells as a whole


def test_displaced_lattices_lie_off_the_spots():
    tree = cKDTree(SPOTS)
    for number, operator in enumerate(EDGES.steps):
        inner = operator.maximum(0)  # round, but for the corners of cells
        inner = inner[inner.sum(axis=1) > 0]
        apart = np.median(tree.query(inner @ XY / inner.sum(axis=1)[:, None])[0])
        assert apart < 3 if number == 0 else apart > 24


def test_batches_of_genes_do_not_show():
    expected = lattice_imprint(FIELDS, EDGES)
    parts = [lattice_imprint(FIELDS[:, batch], EDGES) for batch in (slice(0, 7), slice(7, None))]
    joined = LatticeImprint.join(parts)
    for name in ("imprint", "p", "p_all", "step"):
        np.testing.assert_allclose(getattr(joined, name), getattr(expected, name), rtol=1e-6)


def test_what_has_no_imprint_is_nan_and_in_no_mean():
    constant = np.full(len(XY), 2.0)
    unknown = (np.where(np.arange(len(XY)) == SIDE * 60 + 60, value, FIELDS[:, 0]) for value in (np.nan, np.inf))
    found = lattice_imprint(np.column_stack([FIELDS, constant, *unknown]), EDGES)
    for values in (found.imprint, found.p, found.step):
        assert np.isnan(values[-3:]).all()
        assert np.isfinite(values[:-3]).all()
    assert found.p_all == lattice_imprint(FIELDS, EDGES).p_all
    assert np.isnan(lattice_imprint(constant[:, None], EDGES).p_all)


def test_a_gene_of_one_place_has_nothing_to_be_compared_with():
    fields = FIELDS.copy()
    fields[:, 0] = np.hypot(*(XY - SPOTS.min(axis=0) - 450).T) < 12  # in the middle of a block
    found = lattice_imprint(fields, EDGES)
    assert np.isnan(found.p).tolist() == [True] + 19 * [False]
    assert np.isfinite(found.p_all)


@pytest.mark.parametrize(
    ("spots", "bin_size"), [(SPOTS[40:44], 8.0), (SPOTS * 7, 56.0)], ids=["few", "no wider than cells"]
)
def test_what_spots_cannot_tell_is_nan(spots, bin_size):
    found = lattice_imprint(FIELDS, spot_edges(cells(bin_size), spots, **VISIUM | {"bin_size": bin_size}))
    assert found.imprint.shape == found.p.shape == found.step.shape == (20,)
    assert np.isnan([*found.imprint, *found.p, *found.step, found.p_all]).all()


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(0.01, 100), shift=st.floats(0, 100), seed=st.integers(0, 99))
def test_unit_and_order_of_the_cells_do_not_matter(factor, shift, seed):
    expected = lattice_imprint(FIELDS[:, :3], EDGES)
    scaled = lattice_imprint(FIELDS[:, :3] * factor, EDGES)
    np.testing.assert_allclose(scaled.imprint, expected.imprint, rtol=1e-5)
    np.testing.assert_allclose(scaled.p, expected.p, rtol=1e-4)
    np.testing.assert_allclose(scaled.step, expected.step, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(lattice_imprint(FIELDS[:, :3] + shift, EDGES).imprint, expected.imprint, rtol=1e-3)
    order = np.random.default_rng(seed).permutation(len(XY))
    moved = SpotEdges(tuple(operator[:, order] for operator in EDGES.steps), EDGES.blocks)
    np.testing.assert_allclose(lattice_imprint(FIELDS[order, :3], moved).imprint, expected.imprint, rtol=1e-5)


def test_the_same_seed_gives_the_same():
    again, other = (lattice_imprint(FIELDS, spot_edges(XY, SPOTS, seed=seed, **VISIUM)) for seed in (0, 1))
    expected = lattice_imprint(FIELDS, EDGES)
    np.testing.assert_array_equal(again.imprint, expected.imprint)
    assert (other.imprint != expected.imprint).all()


def test_one_sentence_for_what_cannot_be():
    with pytest.raises(ValueError, match="pitch=0 is not allowed"):
        spot_edges(XY, SPOTS, **VISIUM | {"pitch": 0})
    with pytest.raises(ValueError, match="n_displaced=0 is not allowed"):
        spot_edges(XY, SPOTS, **VISIUM, n_displaced=0)
    with pytest.raises(ValueError, match=r"spots have no cells 0\.3 to 0\.75 pitches of 100 µm from them"):
        spot_edges(XY, SPOTS + 1e5, **VISIUM)
    with pytest.raises(ValueError, match="of the 14400 cells of the edges"):
        lattice_imprint(FIELDS[:50], EDGES)


def test_the_truth_of_a_section_shows_no_spots():
    sdata = stsr.datasets.synthetic_section(size=(1000, 1000), n_genes=12, mpp=2.0)
    truth, spots = sdata["truth_008um"], sdata["table"].obsm["spatial"] * 2.0
    edges = spot_edges(truth.obsm["spatial"] * 2.0, spots, **VISIUM)
    found = lattice_imprint(truth.X.toarray(), edges)
    assert found.imprint.mean() == pytest.approx(1, abs=0.1)
    assert found.p_all > 0.05


def test_the_default_does_not_show_spots_that_are_uneven_and_exact_balance_does():
    """Spots that caught more or less than their neighbours by chance leave discs where each is met exactly."""
    section = toy_section(shape=(90, 100), pitch=100.0, n_genes=6).section
    rng = np.random.default_rng(0)
    caught = np.exp(rng.normal(0, 0.7, (len(section.spots), 1)))
    counts = rng.poisson(section.counts.toarray() * caught).astype(np.float32)
    uneven = replace(section, counts=sp.csr_array(counts), library=counts.sum(axis=1) * 10)
    edges = spot_edges(uneven.grid.xy, uneven.spots, **VISIUM)
    fitted = create("cross_attention", SMALL | {"attention_networks": 1}).fit(uneven, seed=0, training=QUIET)

    def imprint_of(balance):
        method = replace(fitted, config=replace(fitted.config, balance=balance))
        return lattice_imprint(whole(method, uneven).mean, edges)

    default, exact = imprint_of("signal"), imprint_of("exact")
    assert exact.imprint.min() > 2
    assert exact.step.min() > 0
    assert exact.p_all < 0.01
    assert default.imprint.mean() < 1.5
    assert default.p_all > 0.05
