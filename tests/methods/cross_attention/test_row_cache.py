"""Rows are computed once while a grid is gone through, and right however it is gone through."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toys.section import toy_section

from stsr.methods.cross_attention.row_cache import RowCache

GRID = toy_section().section.grid


def recent():
    """A run of rows whose arrays are the numbers of their cells, and the rows that were computed."""
    computed = []

    def compute(rows):
        computed.extend(range(rows.start, rows.stop))
        cells = GRID.cells(rows)
        numbers = np.arange(cells.start, cells.stop, dtype=np.float32)
        return numbers, np.column_stack([numbers, -numbers])

    return RowCache(GRID, compute), computed


@given(st.lists(st.tuples(st.integers(0, GRID.shape[0]), st.integers(0, 20)), max_size=8))
def test_whatever_is_asked_for_is_what_is_there(runs):
    rows, _ = recent()
    for start, height in runs:
        run = slice(start, min(start + height, GRID.shape[0]))
        cells = GRID.cells(run)
        numbers, pairs = rows(run)
        np.testing.assert_array_equal(numbers, np.arange(cells.start, cells.stop))
        np.testing.assert_array_equal(pairs[:, 1], -numbers)


def test_on_the_way_down_nothing_is_computed_twice():
    rows, computed = recent()
    for run in (slice(0, 9), slice(2, 15), slice(5, 12), slice(15, 20), slice(18, 30)):
        rows(run)
    assert computed == list(range(30))


def test_on_the_way_up_all_is_computed_anew():
    rows, computed = recent()
    rows(slice(10, 20))
    rows(slice(5, 15))
    assert computed == [*range(10, 20), *range(5, 15)]
