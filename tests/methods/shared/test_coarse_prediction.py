"""Values interpolated from coarse points: against scipy, and what holds on any tissue."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.interpolate import RegularGridInterpolator

from stsr.geometry import Grid
from stsr.methods.shared.coarse_prediction import CoarseLattice, CoarsePredictor

TURNED = np.array([[0.6, 0.8, 40.0], [0.8, -0.6, -7.0], [0, 0, 1.0]]) @ np.diag([8.0, 8.0, 1.0])
"""Rotated and flipped cells of 8 µm."""

MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: arrays(bool, shape, elements=st.sampled_from([True, False, False]))
)
"""Tissue with holes and islands."""


def field(points):
    """Values at points (n, 2) that are linear in neither x nor y, and positive."""
    return np.column_stack([np.exp(np.sin(points[:, 0] / 20)), (points[:, 0] - points[:, 1]) ** 2]).astype(np.float32)


def linear(points):
    return (points @ np.array([[0.3, -2.0], [1.1, 0.4]]) + [3.0, 500.0]).astype(np.float32)


@pytest.mark.parametrize("spacing", [8.0, 20.0, 24.0, 70.0, 1e5])
def test_on_whole_tissue_it_is_bilinear_interpolation(spacing):
    grid = Grid(TURNED, np.ones((11, 17), dtype=bool))
    lattice = CoarseLattice.of(grid, spacing)
    got = CoarsePredictor(lattice, 2, field)(slice(None))
    mesh = np.stack(np.meshgrid(lattice.rows, lattice.cols, indexing="ij"), axis=-1)
    values = field(grid.to_um(mesh[..., ::-1].reshape(-1, 2))).reshape(*mesh.shape[:2], 2)
    expected = RegularGridInterpolator((lattice.rows, lattice.cols), values)(grid.rowcol + 0.5)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert got.dtype == np.float32


@pytest.mark.parametrize("spacing", [8.0, 30.0, 1e5])
def test_linear_functions_are_exact(spacing):
    grid = Grid(TURNED, np.ones((23, 40), dtype=bool))
    got = CoarsePredictor(CoarseLattice.of(grid, spacing), 2, linear)(slice(None))
    np.testing.assert_allclose(got, linear(grid.xy), rtol=1e-5, atol=1e-3)


def test_points_are_at_most_the_spacing_apart_and_span_the_tissue():
    mask = np.zeros((40, 50), dtype=bool)
    mask[5:31, 7:40] = True
    lattice = CoarseLattice.of(Grid(TURNED, mask), 50.0)
    np.testing.assert_allclose(lattice.rows[[0, -1]], [5.5, 30.5])
    np.testing.assert_allclose(lattice.cols[[0, -1]], [7.5, 39.5])
    assert len(lattice.rows) == 5  # 25 cells of 8 µm are 200 µm
    assert len(lattice.cols) == 7  # 32 are 256 µm, in 6 steps
    assert len(lattice.points) == 35


def test_each_point_is_predicted_once_from_the_top_down():
    grid = Grid(TURNED, np.ones((30, 20), dtype=bool))
    lattice, asked = CoarseLattice.of(grid, 40.0), []

    def predict(points):
        asked.append(points)
        return field(points)

    predictor = CoarsePredictor(lattice, 2, predict)
    for band in grid.bands(60):
        predictor(band)
    np.testing.assert_allclose(np.concatenate(asked), lattice.points)


@settings(max_examples=100, deadline=None)
@given(MASKS.filter(np.any), st.floats(5, 60), st.randoms(use_true_random=False))
def test_on_any_tissue(mask, spacing, random):
    grid = Grid(TURNED, mask)
    lattice = CoarseLattice.of(grid, spacing)
    index = np.floor(grid.to_index(lattice.points) + 1e-6).astype(int)[:, ::-1]
    assert mask[tuple(index.T)].all(), "a point lies on glass"
    weights = lattice.weights(slice(None))
    assert weights.data.min() > 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    # A cell reads points of its own square only.
    cell, point = weights.nonzero()
    step = [np.diff(axis).max(initial=0) for axis in (lattice.rows, lattice.cols)]
    apart = np.abs(grid.to_index(lattice.points[point])[:, ::-1] - grid.rowcol[cell] - 0.5)
    assert (apart <= np.array(step) + 1e-6).all()
    # Bands in any order give the values of the whole.
    whole = CoarsePredictor(lattice, 2, field)(slice(None))
    bands = grid.bands(5)
    random.shuffle(bands)
    predictor = CoarsePredictor(lattice, 2, field)
    for band in bands:
        np.testing.assert_array_equal(predictor(band), whole[grid.cells(band)])
    assert whole.min() >= 0


def test_on_tissue_that_four_points_surround_linear_functions_are_exact():
    mask = np.ones((30, 30), dtype=bool)
    mask[:12, :12] = mask[20:, 25:] = False
    grid = Grid(TURNED, mask)
    lattice = CoarseLattice.of(grid, 40.0)
    got, expected = CoarsePredictor(lattice, 2, linear)(slice(None)), linear(grid.xy)
    exact = np.isclose(got, expected, rtol=1e-5, atol=1e-3).all(axis=1)
    inner = ((grid.rowcol >= 16) & (grid.rowcol < 18)).any(axis=1) & (grid.rowcol < 20).all(axis=1)
    assert exact[inner].all()
    assert not exact.all()  # at the border a point on glass is left out


def test_tissue_between_all_points_gets_a_point_of_its_own():
    mask = np.zeros((21, 21), dtype=bool)
    mask[[0, -1], [0, -1]] = True
    mask[4:6, 13:17] = True
    grid = Grid(np.diag([8.0, 8.0, 1.0]), mask)
    lattice = CoarseLattice.of(grid, 80.0)
    np.testing.assert_array_equal(lattice.extra, [[4, 14]])
    np.testing.assert_allclose(lattice.points, [[4, 4], [116, 36], [164, 164]])
    corner = CoarsePredictor(lattice, 2, field)(slice(None))
    np.testing.assert_allclose(corner, field(lattice.points)[[0, *[1] * 8, 2]], rtol=1e-6)


def test_bands_without_tissue_are_empty():
    mask = np.zeros((12, 4), dtype=bool)
    mask[8:, 1:3] = True
    predictor = CoarsePredictor(CoarseLattice.of(Grid(TURNED, mask), 16.0), 2, field)
    assert predictor(slice(0, 5)).shape == predictor(slice(3, 3)).shape == (0, 2)


def test_what_is_no_lattice_is_refused():
    with pytest.raises(ValueError, match="spacing=0 is not allowed"):
        CoarseLattice.of(Grid(TURNED, np.ones((3, 3), dtype=bool)), 0)
    with pytest.raises(ValueError, match="grid holds no cell inside tissue"):
        CoarseLattice.of(Grid(TURNED, np.zeros((3, 3), dtype=bool)), 50)
