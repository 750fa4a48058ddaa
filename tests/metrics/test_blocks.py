"""Sums over blocks against plain slicing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsr.metrics import block_operator


@given(
    rows=st.integers(1, 20),
    cols=st.integers(1, 20),
    low=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    factor=st.integers(1, 7),
)
def test_sums_are_those_of_whole_blocks_aligned_to_row_and_column_0(rows, cols, low, factor):
    raster = np.zeros((40, 40))
    values = np.random.default_rng(rows * 20 + cols).random((rows, cols))
    window = slice(low[0], low[0] + rows), slice(low[1], low[1] + cols)
    raster[window] = values
    there = np.zeros((40, 40))
    there[window] = 1

    size = 40 // factor * factor
    tiles = [r[:size, :size].reshape(size // factor, factor, -1, factor).sum(axis=(1, 3)) for r in (raster, there)]
    expected = np.argwhere(tiles[1] >= 0.9 * factor**2)

    operator, blocks = block_operator(np.argwhere(np.ones((rows, cols))) + low, factor)
    np.testing.assert_array_equal(blocks, expected)
    np.testing.assert_allclose(operator @ values.ravel(), tiles[0][tuple(expected.T)], rtol=1e-6)


def test_one_cell_in_ten_may_be_missing():
    rowcol = np.argwhere(np.ones((7, 14)))
    keep = np.ones(98, dtype=bool)
    keep[:4] = False  # of the first block
    keep[[7, 8, 9, 10, 11]] = False  # of the second
    operator, blocks = block_operator(rowcol[keep], 7)
    np.testing.assert_array_equal(blocks, [[0, 0]])
    assert operator.sum() == 45


def test_factor_1_keeps_every_cell_in_row_major_order():
    rowcol = np.array([[2, 1], [0, 3], [2, 0]])
    operator, blocks = block_operator(rowcol, 1)
    np.testing.assert_array_equal(blocks, [[0, 3], [2, 0], [2, 1]])
    np.testing.assert_array_equal(operator @ np.array([10.0, 20, 30]), [20, 30, 10])


def test_factor_must_be_positive():
    with pytest.raises(ValueError, match="factor=0 must be 1 or more"):
        block_operator([[0, 0]], 0)
