"""Prediction on a coarse lattice of points, interpolated to the cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.arguments import LENGTH
from stsr.geometry import Grid

BAND_CELLS = 2**20
"""Cells whose weights are computed at a time when a lattice is laid."""


@dataclass(frozen=True, eq=False)
class CoarseLattice:
    r"""Points on tissue that are nearly evenly spaced, and the weights with which the cells of a grid read them.

    The lattice spans the rows and columns that have tissue, from the centre of the first cell to that of the last. A cell
    at the share :math:`(u, v)` of the way between lattice columns and rows reads the four points around it by bilinear
    interpolation, with weights :math:`(1-u)(1-v)`, :math:`u(1-v)`, :math:`(1-u)v` and :math:`uv` (Press et al. 2007,
    *Numerical Recipes*, eq. 3.6.5). Points on bare glass have weight 0 and the others are divided by their sum. Where all
    four lie on glass, one point is added on the tissue between them.

    So no point on glass is ever read, constants are exact everywhere, functions linear in x and y wherever all four points
    lie on tissue, and nothing is negative that was not.

    Parameters
    ----------
    grid
        The cells.
    rows, cols
        Places of the lattice's rows and columns in the index space of ``grid``, ascending.
    extra
        (extra points, 2) row and column of the cells on which points were added.
    """

    grid: Grid
    rows: NDArray[np.float64]
    cols: NDArray[np.float64]
    extra: NDArray[np.int64]

    @classmethod
    def of(cls, grid: Grid, spacing: float) -> Self:
        """Lay a lattice over the tissue of a grid.

        Parameters
        ----------
        grid
            The cells.
        spacing
            Largest distance in µm between neighbouring rows and columns of points; those are never nearer than cells.

        Raises
        ------
        ValueError
            When ``spacing`` is no length, or the grid has no cell inside tissue.

        Examples
        --------
        >>> grid = Grid(np.diag([8.0, 8.0, 1.0]), np.ones((5, 9), dtype=bool))
        >>> CoarseLattice.of(grid, 32.0).points
        array([[ 4.,  4.],
               [36.,  4.],
               [68.,  4.],
               [ 4., 36.],
               [36., 36.],
               [68., 36.]])
        """
        cells = LENGTH("spacing", spacing) / grid.bin_size
        if not grid.n_cells:
            raise ValueError("grid holds no cell inside tissue; check the tissue mask.")
        rows, cols = (_places(np.asarray(grid.mask.any(axis=axis)), cells) for axis in (1, 0))
        bare = cls(grid, rows, cols, np.empty((0, 2), dtype=np.int64))
        lost = np.concatenate([bare._without_points(band) for band in grid.bands(BAND_CELLS)])
        return cls(grid, rows, cols, _one_for_each(bare._squares(lost), lost))

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(points, 2) in µm, one row of the lattice after the other; an added point comes with the row above it."""
        row, col = np.nonzero(self._on_tissue)
        lattice = np.column_stack([self.cols[col], self.rows[row]])
        return self.grid.to_um(np.vstack([lattice, self.extra[:, ::-1] + 0.5])[self._order])

    @cached_property
    def row_starts(self) -> NDArray[np.int64]:
        """(lattice rows + 1,) number of points before each row of the lattice."""
        return np.searchsorted(self._row_of_point[self._order], np.arange(len(self.rows) + 1)).astype(np.int64)

    def rows_of(self, rows: slice) -> slice:
        """The rows of the lattice whose points the cells of a band of grid rows read."""
        start, stop, _ = rows.indices(self.grid.shape[0])
        lower, upper, _ = _between(self.rows, np.array([start, max(start, stop - 1)]) + 0.5)
        return slice(int(lower[0]), int(upper[1]) + 1)

    def weights(self, rows: slice) -> sp.csr_array:
        """(cells, points) float32 weights of a band of grid rows; each row sums to 1."""
        cells = self.grid.rowcol[self.grid.cells(rows)]
        number, weight = self._corners(cells)
        total = weight.sum(axis=1)
        lost = total == 0
        weight[lost, 0] = 1
        weight[~lost] /= total[~lost, None]
        number[lost, 0] = self._extra_number[np.searchsorted(self._squares(self.extra), self._squares(cells[lost]))]
        cell, corner = np.nonzero(weight)
        values = weight[cell, corner].astype(np.float32)
        return sp.csr_array((values, (cell, number[cell, corner])), shape=(len(cells), len(self.points)))

    @cached_property
    def _on_tissue(self) -> NDArray[np.bool_]:
        """(lattice rows, lattice columns) whether the cell of a point is inside tissue."""
        return self.grid.mask[np.ix_(self.rows.astype(np.int64), self.cols.astype(np.int64))]

    @cached_property
    def _row_of_point(self) -> NDArray[np.int64]:
        """(points,) row of the lattice of the points on tissue, then of the added ones."""
        return np.concatenate([np.nonzero(self._on_tissue)[0], _between(self.rows, self.extra[:, 0] + 0.5)[0]])

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """(points,) the points on tissue, then the added ones, sorted by row."""
        return np.argsort(self._row_of_point, kind="stable")

    @cached_property
    def _rank(self) -> NDArray[np.int64]:
        """(points,) place of each in that order."""
        return np.argsort(self._order)

    @cached_property
    def _number(self) -> NDArray[np.int64]:
        """(lattice rows, lattice columns) number of each point; 0 on glass, where the weight is 0."""
        number = np.zeros(self._on_tissue.shape, dtype=np.int64)
        number[self._on_tissue] = self._rank[: self._on_tissue.sum()]
        return number

    @property
    def _extra_number(self) -> NDArray[np.int64]:
        """(extra points,) number of each."""
        return self._rank[self._on_tissue.sum() :]

    def _corners(self, cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(n, 4) numbers of the points around cells (n, 2), and their bilinear weights, 0 on glass."""
        top, bottom, v = _between(self.rows, cells[:, 0] + 0.5)
        left, right, u = _between(self.cols, cells[:, 1] + 0.5)
        row, col = np.column_stack([top, top, bottom, bottom]), np.column_stack([left, right, left, right])
        weight = np.column_stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
        return self._number[row, col], weight * self._on_tissue[row, col]

    def _without_points(self, rows: slice) -> NDArray[np.int64]:
        """(n, 2) row and column of the cells of a band all of whose points lie on glass."""
        cells = self.grid.rowcol[self.grid.cells(rows)]
        return cells[self._corners(cells)[1].sum(axis=1) == 0]

    def _squares(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) number of the square between four points in which cells (n, 2) lie."""
        top, left = (_between(axis, cells[:, i] + 0.5)[0] for i, axis in enumerate((self.rows, self.cols)))
        return top * len(self.cols) + left


class CoarsePredictor:
    """Values of the cells of a grid, interpolated from those at coarse points.

    Each point is predicted once when bands are asked for from the top down, and the values are the same in any order:
    points are always predicted with all others of their row of the lattice.

    Parameters
    ----------
    lattice
        The points.
    width
        How many values a point has, such as the number of genes.
    predict
        Gives (n, width) float32 at points (n, 2) in µm; n is at least 1.

    Examples
    --------
    >>> grid = Grid(np.diag([8.0, 8.0, 1.0]), np.ones((6, 6), dtype=bool))
    >>> x_and_y = CoarsePredictor(CoarseLattice.of(grid, 20.0), 2, lambda points: points.astype(np.float32))
    >>> x_and_y(slice(3, 4))[:2].round(3)
    array([[ 4., 28.],
           [12., 28.]], dtype=float32)
    """

    def __init__(
        self, lattice: CoarseLattice, width: int, predict: Callable[[NDArray[np.float64]], NDArray[np.float32]]
    ) -> None:
        self.lattice, self.width, self.predict = lattice, width, predict
        self.kept: dict[int, NDArray[np.float32]] = {}

    def __call__(self, rows: slice) -> NDArray[np.float32]:
        """(cells, width) float32 of a band of grid rows, in id order."""
        lattice = self.lattice
        needed = lattice.rows_of(rows)
        values = {
            row: self.kept[row] if row in self.kept else self._row(row) for row in range(needed.start, needed.stop)
        }
        self.kept = values
        first, last = lattice.row_starts[needed.start], lattice.row_starts[needed.stop]
        return lattice.weights(rows)[:, first:last] @ np.concatenate(list(values.values()))

    def _row(self, row: int) -> NDArray[np.float32]:
        """(points, width) of a row of the lattice."""
        first, last = self.lattice.row_starts[row : row + 2]
        if first == last:
            return np.empty((0, self.width), dtype=np.float32)
        return np.asarray(self.predict(self.lattice.points[first:last]), dtype=np.float32)


def _places(tissue: NDArray[np.bool_], cells: float) -> NDArray[np.float64]:
    """Places from the first to the last row (or column) with tissue, at most ``cells`` apart and at least 1."""
    first, last = np.flatnonzero(tissue)[[0, -1]]
    steps = min(max(int(np.ceil((last - first) / cells - 1e-9)), 1), last - first)
    return np.linspace(first + 0.5, last + 0.5, steps + 1)


def _between(
    places: NDArray[np.float64], at: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Which two of ascending ``places`` lie around each of ``at`` (n,), and the share of the way from one to the other."""
    lower = np.clip(np.searchsorted(places, at, side="right") - 1, 0, max(len(places) - 2, 0))
    upper = np.minimum(lower + 1, len(places) - 1)
    gap = np.where(upper > lower, places[upper] - places[lower], 1)
    return lower, upper, (at - places[lower]) / gap


def _one_for_each(squares: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k, 2) of the cells (n, 2) in each of k squares the one nearest to their mean, by ascending square."""
    _, group, size = np.unique(squares, return_inverse=True, return_counts=True)
    mean = np.column_stack([np.bincount(group, cells[:, axis]) / size for axis in (0, 1)])
    away = ((cells - mean[group]) ** 2).sum(axis=1)
    order = np.lexsort((away, group))
    return cells[order[np.searchsorted(group[order], np.arange(len(size)))]]
