"""Counts moved between grids: areas against polygons, and nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from stsr.geometry import Grid
from stsr.geometry.resample import resample


def square_grid(shape, bin_size, *, angle=0.0, origin=(0.0, 0.0)):
    cos, sin = bin_size * np.cos(angle), bin_size * np.sin(angle)
    return Grid(np.array([[cos, -sin, origin[0]], [sin, cos, origin[1]], [0, 0, 1]]), np.ones(shape, dtype=bool))


def polygons(grid):
    corners = grid.rowcol[:, None, ::-1] + np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    return [shapely.Polygon(cell) for cell in grid.to_um(corners)]


def test_between_equal_grids_it_is_the_identity():
    mask = np.random.default_rng(0).random((30, 20)) < 0.7
    affine = square_grid((1, 1), 8, angle=3.1, origin=(100, 50)).affine
    whole, cropped = Grid(affine, mask), Grid(affine + 1e-9, mask)
    operator = resample(whole, cropped)
    np.testing.assert_array_equal(operator.toarray(), np.eye(whole.n_cells))


@pytest.mark.parametrize(("size", "angle"), [(8, 0.3), (16, 0.0), (12, -0.5), (4, 0.2)])
def test_shares_are_those_of_the_polygons(size, angle):
    source = square_grid((5, 6), 8)
    target = square_grid((4, 4), size, angle=angle, origin=(7, 3))
    shares = [[a.intersection(b).area / b.area for b in polygons(source)] for a in polygons(target)]
    smaller = min(1, (size / 8) ** 2)
    error = resample(source, target).toarray() - shares
    assert np.abs(error).max() < 0.15 * smaller
    assert np.abs(error[np.array(shares) > 0]).mean() < 0.04 * smaller


@given(angle=st.floats(-3, 3), size=st.floats(3, 20))
def test_target_cells_inside_the_source_get_their_whole_area(angle, size):
    source = square_grid((48, 48), 5, origin=(-120, -120))
    target = square_grid((4, 4), size, angle=angle)
    rows = resample(source, target).sum(axis=1)
    np.testing.assert_allclose(rows, (size / 5) ** 2, rtol=1e-5)


def test_counts_are_kept_and_those_beside_the_target_lost():
    source = square_grid((6, 6), 8)
    counts = np.random.default_rng(0).poisson(5, (36, 3))
    covering = square_grid((4, 4), 16, origin=(-8, -8))
    np.testing.assert_allclose((resample(source, covering) @ counts).sum(axis=0), counts.sum(axis=0), rtol=1e-6)
    left = square_grid((12, 6), 4)
    expected = counts.reshape(6, 6, 3)[:, :3].sum(axis=(0, 1))
    np.testing.assert_allclose((resample(source, left) @ counts).sum(axis=0), expected, rtol=1e-6)
