"""Which spots are given and which are hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from stsr.bench.protocol.splits import BUFFER, Lattice, alternate, blocked, random_half


def square(rows: int, cols: int, pitch: float = 200.0) -> Lattice:
    rowcol = np.argwhere(np.ones((rows, cols)))
    return Lattice(rowcol, rowcol[:, ::-1] * pitch, pitch)


def hexagonal(rows: int, cols: int) -> Lattice:
    rowcol = np.argwhere(np.add.outer(np.arange(rows), np.arange(2 * cols)) % 2 == 0)
    return Lattice(rowcol, rowcol[:, ::-1] * (50, 50 * np.sqrt(3)), 100.0)


def drawn(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


lattices = st.builds(
    lambda make, rows, cols, share, seed: thinned(make(rows, cols), share, seed),
    st.sampled_from([square, hexagonal]),
    st.integers(6, 20),
    st.integers(6, 20),
    st.floats(0.5, 1),
    st.integers(0, 99),
)


def thinned(lattice: Lattice, share: float, seed: int) -> Lattice:
    """Tissue has holes."""
    kept = drawn(seed).random(len(lattice.xy)) < share
    kept[:4] = True
    return Lattice(lattice.rowcol[kept], lattice.xy[kept], lattice.pitch)


@examples(lattices, st.integers(0, 99))
def test_no_given_spot_is_near_a_hidden_block(lattice, seed):
    parts = blocked(lattice, drawn(seed))
    assert parts.hidden.any()
    assert not (parts.given & parts.hidden).any()
    if parts.given.any():
        apart = cdist(lattice.xy[parts.given], lattice.xy[parts.hidden]).min()
        assert apart > BUFFER * lattice.pitch
    buffer = ~parts.given & ~parts.hidden
    if buffer.any():
        near = cdist(lattice.xy[buffer], lattice.xy[parts.hidden]).min(axis=1)
        assert (near <= BUFFER * lattice.pitch * (1 + 1e-9)).all()


@examples(lattices, st.integers(0, 99))
def test_without_a_buffer_every_spot_is_either(lattice, seed):
    for split in (random_half, alternate):
        parts = split(lattice, drawn(seed))
        assert (parts.given ^ parts.hidden).all()


def test_hidden_blocks_are_contiguous_and_a_fifth():
    lattice = square(40, 40)
    parts = blocked(lattice, drawn(0))
    assert 0.1 < parts.hidden.mean() < 0.3
    neighbours = (cdist(lattice.xy[parts.hidden], lattice.xy[parts.hidden]) < 1.1 * lattice.pitch).sum(axis=1) - 1
    assert np.median(neighbours) >= 3
    assert not np.array_equal(parts.hidden, blocked(lattice, drawn(1)).hidden)


def test_random_half_is_half_and_follows_the_seed():
    lattice = square(10, 11)
    parts = random_half(lattice, drawn(0))
    assert parts.given.sum() == 55
    np.testing.assert_array_equal(parts.given, random_half(lattice, drawn(0)).given)
    assert not np.array_equal(parts.given, random_half(lattice, drawn(1)).given)


@pytest.mark.parametrize("lattice", [square(8, 8), hexagonal(8, 8)])
def test_every_second_row_and_column_is_a_quarter(lattice):
    given = alternate(lattice, drawn(3)).given
    assert given.sum() == 16
    row, col = lattice.rowcol[given].T
    assert len(np.unique(row % 2)) == 1
    assert sorted(np.unique(np.diff(np.unique(row)))) == [2]
    assert len(np.unique(col)) == 4


def test_spots_printed_beside_their_place_are_taken_to_it():
    whole = square(9, 12)
    moved = whole.xy + drawn(0).normal(0, 20, whole.xy.shape)
    lattice = Lattice.fit(whole.rowcol, moved)
    assert lattice.pitch == pytest.approx(200, rel=0.03)
    np.testing.assert_allclose(lattice.xy, whole.xy, atol=20)
