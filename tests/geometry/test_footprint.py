"""The footprint operator against areas and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stsr.geometry import Disc, Grid, Square, cell_lookup, covered_share, footprint


def rotated(angle: float, bin_size: float, side: int, *, flip: int = 1) -> Grid:
    """A full grid of ``side x side`` cells around the origin."""
    cos, sin = np.cos(angle) * bin_size, np.sin(angle) * bin_size
    linear = np.array([[cos, -sin * flip], [sin, cos * flip]])
    affine = np.eye(3)
    affine[:2, :2], affine[:2, 2] = linear, -linear @ [side / 2, side / 2]
    return Grid(affine, np.ones((side, side), bool))


places = st.tuples(st.floats(-20, 20), st.floats(-20, 20))


@given(places, st.floats(-np.pi, np.pi), st.sampled_from([2.0, 8.0, 16.0, 40.0]), st.sampled_from([1, -1]))
def test_a_disc_covers_its_area_wherever_it_lies(place, angle, bin_size, flip):
    grid = rotated(angle, bin_size, int(200 / bin_size) + 2, flip=flip)
    area = footprint(grid, [place], Disc(55.0)).sum() * grid.bin_size**2
    assert abs(area / (np.pi * 55**2 / 4) - 1) < 0.12 * (bin_size / 55)


@given(places, st.floats(-np.pi, np.pi))
@settings(max_examples=30)
def test_shares_are_those_of_points_scattered_over_the_cells(place, angle):
    grid = rotated(angle, 8.0, 14)
    steps = (np.arange(40) + 0.5) / 40
    points = grid.to_um(grid.rowcol[:, None, ::-1] + np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2))
    brute = (np.linalg.norm(points - place, axis=-1) <= 27.5).mean(axis=1)
    share = footprint(grid, [place], Disc(55.0), subsamples=20).toarray()[0]
    np.testing.assert_allclose(share, brute, atol=0.04)


def test_subsampled_shares_equal_brute_force_exactly():
    rng = np.random.default_rng(0)
    grid = Grid(rotated(0.3, 8.0, 14).affine, rng.random((14, 14)) < 0.7)
    spots = rng.uniform(-40, 40, (6, 2))
    steps = (np.arange(5) + 0.5) / 5
    points = grid.to_um(grid.rowcol[:, None, ::-1] + np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2))
    brute = (np.linalg.norm(points[None] - spots[:, None, None], axis=-1) <= 27.5).mean(axis=2)
    weights = footprint(grid, spots, Disc(55.0))
    assert weights.shape == (6, grid.n_cells)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.toarray(), brute, atol=1e-6)


def test_cells_off_tissue_and_spots_off_the_grid_weigh_nothing():
    grid = Grid(np.diag([8.0, 8, 1]), np.eye(10, dtype=bool))
    weights = footprint(grid, [[40, 40], [-500, 40], [4e4, 4e4]], Disc(55.0))
    np.testing.assert_array_equal(weights[[0]].indices, [2, 3, 4, 5, 6, 7])  # the diagonal's cells within 27.5 µm
    assert weights[[1, 2]].nnz == 0


def test_discs_far_apart_share_no_cell_and_touching_discs_never_cover_a_cell_twice():
    grid = rotated(0.4, 8.0, 60)
    spots = np.array([[-55.0, 0], [0, 0], [55, 0], [27.5, 47.6]])
    assert footprint(grid, spots, Disc(55.0)).sum(axis=0).max() <= 1 + 1e-6


@given(places, st.floats(-np.pi, np.pi), st.sampled_from([1, -1]))
def test_lookup_finds_the_cell_whose_centre_is_nearest(place, angle, flip):
    grid = rotated(angle, 8.0, 14, flip=flip)
    away = np.linalg.norm(grid.xy - place, axis=1)
    assert away[cell_lookup(grid, [place])[0]] == pytest.approx(away.min(), abs=1e-6)


def test_lookup_returns_each_cell_for_its_own_centre_and_minus_one_off_tissue():
    grid = Grid(np.diag([8.0, 8, 1]), np.tri(9, dtype=bool))
    np.testing.assert_array_equal(cell_lookup(grid, grid.xy), np.arange(grid.n_cells))
    np.testing.assert_array_equal(cell_lookup(grid, [[68.0, 4], [-1, 4], [4, 73]]), -1)


@given(places, st.floats(-np.pi, np.pi), st.sampled_from([2.0, 8.0, 16.0, 40.0]), st.sampled_from([1, -1]))
@settings(max_examples=40)
def test_a_spot_inside_the_grid_is_covered_to_the_last_digit(place, angle, bin_size, flip):
    grid = rotated(angle, bin_size, int(200 / bin_size) + 6, flip=flip)
    for aperture in (Disc(55.0), Square(16.0, angle)):
        shares = footprint(grid, [place], aperture)
        assert covered_share(grid, np.array([place]), aperture, shares).tolist() == [1.0]


@given(st.floats(-30, 30), st.sampled_from([4.0, 8.0]))
@settings(max_examples=40)
def test_a_spot_that_the_edge_cuts_is_covered_by_its_part(offset, bin_size):
    grid = Grid(np.diag([bin_size, bin_size, 1.0]), np.ones((int(400 / bin_size),) * 2, dtype=bool))
    place = np.array([[offset, 200.0]])
    covered = covered_share(grid, place, Disc(55.0), footprint(grid, place, Disc(55.0)))[0]
    x = np.clip(offset / 27.5, -1, 1)
    inside = 0.5 + (x * np.sqrt(1 - x**2) + np.arcsin(x)) / np.pi
    assert covered == pytest.approx(inside, abs=0.03)


def test_a_spot_off_the_grid_is_covered_by_nothing():
    grid = rotated(0.0, 8.0, 10)
    far = np.array([[5000.0, 0.0], [0.0, 0.0]])
    assert covered_share(grid, far, Disc(55.0), footprint(grid, far, Disc(55.0))).tolist() == [0, 1]
    assert covered_share(grid, far[:0], Disc(55.0), footprint(grid, far[:0], Disc(55.0))).tolist() == []
