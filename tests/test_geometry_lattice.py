"""Pitch and affine of lattices."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import hex_lattice
from hypothesis import given
from hypothesis import strategies as st

from stsr.geometry import fit_affine, nearest_pitch


@given(st.floats(1, 500), st.floats(-np.pi, np.pi))
def test_pitch_of_a_hexagonal_lattice_survives_rotation(pitch, angle):
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    spots = hex_lattice(8 * pitch, 8 * pitch, pitch) @ rotation.T
    np.testing.assert_allclose(nearest_pitch(spots), pitch, rtol=1e-6)


def test_pitch_survives_missing_spots_and_jitter():
    rng = np.random.default_rng(0)
    spots = hex_lattice(2000, 2000, 100.0)
    spots = spots[rng.random(len(spots)) < 0.7] + rng.normal(0, 0.5, (1, 2))
    assert nearest_pitch(spots) == pytest.approx(100, rel=1e-6)


def test_pitch_needs_two_spots():
    with pytest.raises(ValueError, match="xy must hold at least 2 spots to tell a pitch, got 1"):
        nearest_pitch([[0, 0]])


@given(st.floats(0.5, 50), st.floats(-np.pi, np.pi), st.floats(-1e4, 1e4), st.sampled_from([1, -1]))
def test_affine_is_recovered_exactly(size, angle, shift, flip):
    cos, sin = np.cos(angle) * size, np.sin(angle) * size
    truth = np.array([[cos, -sin * flip, shift], [sin, cos * flip, -shift], [0, 0, 1]])
    colrow = np.argwhere(np.ones((5, 7)))[:, ::-1].astype(float)
    fitted = fit_affine(colrow, colrow @ truth[:2, :2].T + truth[:2, 2])
    np.testing.assert_allclose(fitted, truth, rtol=1e-6, atol=1e-6 * (1 + abs(shift)))


def test_affine_is_the_least_squares_one():
    rng = np.random.default_rng(1)
    colrow, xy = rng.random((30, 2)) * 50, rng.random((30, 2)) * 400
    residual = xy - (colrow @ fit_affine(colrow, xy)[:2, :2].T + fit_affine(colrow, xy)[:2, 2])
    np.testing.assert_allclose(np.column_stack([colrow, np.ones(30)]).T @ residual, 0, atol=1e-7)


def test_affine_needs_points_that_are_not_on_one_line():
    with pytest.raises(ValueError, match="colrow must span two dimensions"):
        fit_affine([[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 1], [2, 2]])
