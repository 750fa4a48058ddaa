"""Cache of the rows of a grid that overlapping bands need, so that each row is computed once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stsr.geometry import Grid


class RowCache:
    """Arrays of the cells of a run of rows: rows of the previous run are reused, the others computed.

    Runs must go down the grid and overlap for every row to be computed once. A run that begins above the previous one, or
    leaves a gap, is computed as a whole.

    Parameters
    ----------
    grid
        Whose rows they are.
    compute
        Gives (cells, ...) arrays of the cells of a run of rows.
    """

    def __init__(self, grid: Grid, compute: Callable[[slice], tuple[NDArray[np.float32], ...]]) -> None:
        self.grid, self.compute = grid, compute
        self.rows = slice(0, 0)
        self.arrays = compute(self.rows)

    def __call__(self, rows: slice) -> tuple[NDArray[np.float32], ...]:
        """Arrays of the cells of ``rows``."""
        if rows.start < self.rows.start or rows.stop > self.rows.stop:
            self._move(rows)
        place = self._place(rows)
        return tuple(array[place] for array in self.arrays)

    def _move(self, rows: slice) -> None:
        """Drop what lies above ``rows``, and compute what is missing below."""
        goes_on = self.rows.start <= rows.start <= self.rows.stop
        kept = slice(rows.start, self.rows.stop if goes_on else rows.start)
        rest = slice(kept.stop, rows.stop)
        old = [array[self._place(kept)] for array in self.arrays] if goes_on else self.compute(kept)
        self.arrays = tuple(np.concatenate(parts) for parts in zip(old, self.compute(rest), strict=True))
        self.rows = slice(kept.start, rest.stop)

    def _place(self, rows: slice) -> slice:
        """Where the cells of ``rows`` are among those that are held."""
        cells, first = self.grid.cells(rows), self.grid.cells(self.rows).start
        return slice(cells.start - first, cells.stop - first)
