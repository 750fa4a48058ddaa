"""What spots cover: areas, squares that tile the plane, and the cells of a finer grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsr.geometry import Disc, Grid, Square, footprint

angles = st.floats(-np.pi, np.pi)


@given(angles, st.sampled_from([Disc(55.0), Square(16.0), Square(16.0, 0.4)]))
def test_a_spot_covers_its_area_within_its_reach(angle, aperture):
    steps = (np.arange(400) + 0.5) / 400 * 80 - 40
    points = np.stack(np.meshgrid(steps, steps), axis=-1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    covered = aperture.covers(points @ turn)
    assert covered.sum() * 0.2**2 == pytest.approx(aperture.area, rel=0.02)
    assert np.linalg.norm(points[covered], axis=-1).max() <= aperture.reach + 1e-9


@given(angles, st.integers(2, 4), st.sampled_from([1, -1]))
def test_bins_sum_exactly_the_cells_of_a_finer_grid(angle, times, flip):
    cos, sin = 16 * np.cos(angle), 16 * np.sin(angle)
    coarse = Grid(np.array([[cos, -sin * flip, 300], [sin, cos * flip, 200], [0, 0, 1]]), np.ones((6, 5), dtype=bool))
    fine = Grid(coarse.affine @ np.diag([1 / times, 1 / times, 1]), np.ones((6 * times, 5 * times), dtype=bool))
    weights = footprint(fine, coarse.xy, Square.of(coarse)).toarray()
    np.testing.assert_array_equal(weights.sum(axis=0), 1)
    block = (fine.rowcol // times) @ [5, 1]
    np.testing.assert_array_equal(weights.argmax(axis=0), block)


def test_corners_are_at_the_reach():
    square = Square(10.0, 0.3)
    np.testing.assert_allclose(np.linalg.norm(square.corners, axis=1), square.reach)
    np.testing.assert_allclose(square.corners[1] - square.corners[0], [10 * np.cos(0.3), 10 * np.sin(0.3)])


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf"), "55", True, None])
def test_a_spot_without_a_size_is_refused(size):
    with pytest.raises(ValueError, match="diameter=.* is not allowed"):
        Disc(size)
    with pytest.raises(ValueError, match="side=.* is not allowed"):
        Square(size)
