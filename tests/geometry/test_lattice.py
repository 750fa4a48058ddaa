"""Pitch and affine of lattices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys.section import hex_lattice

from stsr.geometry import fit_affine, fit_lattice, nearest_pitch, regular_lattice
from stsr.geometry.lattice_fit import LAYOUTS


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


def turned(rowcol, layout, pitch, angle, flip=1):
    """Positions of places on an array, turned and perhaps mirrored."""
    cos, sin = np.cos(angle), np.sin(angle)
    steps = np.asarray(rowcol)[:, ::-1] * LAYOUTS[layout] * pitch
    return steps @ np.array([[cos, -sin], [sin, cos]]) @ np.diag([flip, 1]) + 300


def array(layout, rows=6, cols=7):
    rowcol = np.argwhere(np.ones((rows, cols)))
    return rowcol * (1, 2) + np.column_stack([rowcol[:, 0] * 0, rowcol[:, 0] % 2]) if layout == "hexagonal" else rowcol


@given(st.sampled_from(list(LAYOUTS)), st.floats(5, 500), st.floats(-np.pi, np.pi), st.sampled_from([1, -1]), st.data())
def test_lattice_of_any_few_spots_is_that_of_all(layout, pitch, angle, flip, data):
    rowcol = array(layout)
    few = data.draw(st.sets(st.integers(0, len(rowcol) - 1), min_size=3, max_size=8).map(sorted))
    xy = turned(rowcol, layout, pitch, angle, flip)
    fitted = fit_lattice(rowcol[few], xy[few])
    if np.linalg.matrix_rank(rowcol[few] - rowcol[few].mean(axis=0)) == 2:
        assert (fitted.layout, fitted.pitch) == (layout, pytest.approx(pitch))
    else:
        assert fitted is None
    assert fit_lattice(rowcol[few], xy[few], layout=layout).pitch == pytest.approx(pitch)
    assert fit_lattice(rowcol[few[:2]], xy[few[:2]], layout=layout).pitch == pytest.approx(pitch)
    assert fit_lattice(rowcol[few[:1]], xy[few[:1]], layout=layout) is None


def test_lattice_of_spots_that_were_found_one_by_one():
    rowcol = array("square")
    xy = turned(rowcol, "square", 200, 0.1) + np.random.default_rng(0).uniform(-30, 30, rowcol.shape)
    assert fit_lattice(rowcol, xy).pitch == pytest.approx(200, rel=0.02)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda rowcol, xy: (np.vstack([rowcol, rowcol]), np.vstack([xy, xy + 30])),
            "42 of 84 spots share row and col",
        ),
        (lambda rowcol, xy: (rowcol[::-1] - (0, 3), xy[:, ::-1]), None),  # turned by half and mirrored: still a lattice
        (lambda rowcol, xy: (rowcol[np.random.default_rng(0).permutation(42)], xy), "100|pitches beside it|apart one"),
        (lambda rowcol, xy: (rowcol // (1, 2), xy), "apart one way|pitches beside it"),
        (lambda rowcol, xy: (rowcol, xy * (1, 1.3)), "apart one way and"),
        (lambda rowcol, xy: (rowcol, xy + 80 * (np.arange(42) == 9)[:, None]), r"up to 1(\.1)? pitches beside it"),
    ],
)
def test_lattice_that_is_none(spoil, reason):
    rowcol = array("hexagonal")
    rowcol, xy = spoil(rowcol, turned(rowcol, "hexagonal", 100.0, 0.2))
    if reason is None:
        assert fit_lattice(rowcol, xy).pitch == pytest.approx(100)
        return
    with pytest.raises(ValueError, match=reason):
        fit_lattice(rowcol, xy, layout="hexagonal")


@given(st.sampled_from(list(LAYOUTS)), st.floats(5, 500), st.floats(-np.pi, np.pi))
def test_regular_lattice_needs_no_array(layout, pitch, angle):
    lattice = regular_lattice(turned(array(layout), layout, pitch, angle))
    assert (lattice.layout, lattice.pitch) == (layout, pytest.approx(pitch))


def test_regular_lattice_of_spots_found_one_by_one_and_of_loose_pieces():
    rng = np.random.default_rng(0)
    rowcol = array("square", 12, 12)
    xy = turned(rowcol, "square", 200, 0.1) + rng.normal(0, 11, rowcol.shape)
    assert regular_lattice(xy).pitch == pytest.approx(190, rel=0.05)
    rowcol = array("hexagonal", 20, 20)
    assert regular_lattice(turned(rowcol, "hexagonal", 100, 0.1)[rng.random(400) < 0.6]).pitch == pytest.approx(100)


@pytest.mark.parametrize(
    "xy",
    [
        turned(array("hexagonal"), "hexagonal", 100, 0)[:3],  # too few
        turned(array("hexagonal", 40, 40), "hexagonal", 100, 0)[np.random.default_rng(1).permutation(1600)[:80]],
        np.vstack(
            [turned(array("hexagonal"), "hexagonal", 100, 0), turned(array("hexagonal"), "hexagonal", 100, 0) + 37]
        ),
        np.vstack([turned(array("square"), "square", 100, 0)] * 2),  # two sections at the same places
        turned(array("square") * (2, 4), "hexagonal", 100, 0),  # every second row and column: 173 by 200
        np.random.default_rng(0).random((200, 2)) * 1000,
    ],
)
def test_regular_lattice_is_none_where_positions_do_not_tell(xy):
    assert regular_lattice(xy) is None
