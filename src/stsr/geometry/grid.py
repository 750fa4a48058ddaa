"""The regular grid on which expression is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.options import Whole

TIMES = Whole(1, 100_000)
"""Cells to the side of another."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of square cells in the section's micrometre frame, some of them inside tissue.

    The frame is that of the full-resolution image scaled to µm: x to the right, y down. A cell in row ``r`` and
    column ``c`` covers ``[c, c+1] x [r, r+1]`` of the grid's own index space.

    Parameters
    ----------
    affine
        (3, 3) matrix that takes index space ``(col, row, 1)`` to µm ``(x, y, 1)``: a similarity, so rotation and
        flips are allowed, shear is not.
    mask
        (rows, cols) bool; the cells inside tissue. Only these get an id.
    ids
        (cells,) ascending ids under which tables know the cells, when these are not 1, 2, ...: a part of a larger grid
        keeps those of the whole. Grids made from this one count from 1 again.
    """

    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        affine = np.asarray(self.affine, dtype=np.float64)
        mask = np.asarray(self.mask, dtype=bool)
        if affine.shape != (3, 3) or not np.isfinite(affine).all() or not np.allclose(affine[2], (0, 0, 1)):
            raise ValueError(f"affine must be a finite (3, 3) matrix with last row (0, 0, 1), got {affine.tolist()}.")
        gram = affine[:2, :2].T @ affine[:2, :2]
        side = np.sqrt(abs(np.linalg.det(affine[:2, :2])))
        if side == 0 or not np.allclose(gram, np.eye(2) * side**2, rtol=1e-3, atol=1e-3 * side**2):
            raise ValueError(f"affine must keep cells square (rotation, flip, one scale), got {affine.tolist()}.")
        if mask.ndim != 2:
            raise ValueError(f"mask must have two dimensions (rows, cols), got shape {mask.shape}.")
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "mask", mask)
        if self.ids is not None:
            ids = np.asarray(self.ids, dtype=np.int64)
            if ids.shape != (mask.sum(),) or (np.diff(ids, prepend=0) <= 0).any():
                raise ValueError(f"ids must be {mask.sum()} ascending numbers from 1, one for each cell of the mask.")
            object.__setattr__(self, "ids", ids)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.mask.shape

    @property
    def bin_size(self) -> float:
        """Side of a cell in µm."""
        return float(np.sqrt(abs(np.linalg.det(self.affine[:2, :2]))))

    @cached_property
    def n_cells(self) -> int:
        """Number of cells inside tissue."""
        return int(self.mask.sum())

    @cached_property
    def labels(self) -> NDArray[np.uint32]:
        """(rows, cols) raster of cell numbers: 1, 2, ... in row-major order inside tissue, 0 outside."""
        labels = np.zeros(self.shape, dtype=np.uint32)
        labels[self.mask] = np.arange(1, self.n_cells + 1, dtype=np.uint32)
        return labels

    @property
    def known_as(self) -> NDArray[np.int64]:
        """(cells,) ids under which tables know the cells: ``ids``, or 1, 2, ..."""
        return np.arange(1, self.n_cells + 1, dtype=np.int64) if self.ids is None else self.ids

    @cached_property
    def rowcol(self) -> NDArray[np.int64]:
        """(cells, 2) row and column of every cell inside tissue, in id order."""
        return np.argwhere(self.mask)

    @cached_property
    def xy(self) -> NDArray[np.float64]:
        """(cells, 2) centroids in µm, in id order."""
        return self.to_um(self.rowcol[:, ::-1] + 0.5)

    @cached_property
    def row_starts(self) -> NDArray[np.int64]:
        """(rows + 1,) number of cells inside tissue before each row: row ``r`` owns ids ``starts[r]+1 .. starts[r+1]``."""
        return np.concatenate([[0], np.cumsum(self.mask.sum(axis=1))])

    def cells(self, rows: slice) -> slice:
        """Positions (0-based, id - 1) of the cells in a band of rows; they are contiguous."""
        start, stop, _ = rows.indices(self.shape[0])
        return slice(int(self.row_starts[start]), int(self.row_starts[max(start, stop)]))

    def bands(self, max_cells: int) -> list[slice]:
        """Cut the grid into bands of whole rows holding at most ``max_cells`` cells each (one row at least)."""
        bands, start = [], 0
        while start < self.shape[0]:
            stop = int(np.searchsorted(self.row_starts, self.row_starts[start] + max_cells, side="right")) - 1
            stop = min(max(stop, start + 1), self.shape[0])
            bands.append(slice(start, stop))
            start = stop
        return bands

    def to_um(self, colrow: ArrayLike) -> NDArray[np.float64]:
        """Take points of index space (..., 2) as (col, row) to µm (x, y)."""
        return np.asarray(colrow, dtype=np.float64) @ self.affine[:2, :2].T + self.affine[:2, 2]

    def to_index(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Take points (..., 2) in µm (x, y) to index space (col, row): the inverse of :meth:`to_um`."""
        return (np.asarray(xy, dtype=np.float64) - self.affine[:2, 2]) @ np.linalg.inv(self.affine[:2, :2]).T

    def pixel_frame(
        self, pixels_per_cell: int, rows: slice, cols: slice, *, halo: int = 0
    ) -> tuple[NDArray[np.float64], tuple[int, int]]:
        """Frame of an image window on the grid, ``pixels_per_cell`` pixels to a cell's side.

        Returns
        -------
        affine, shape
            (3, 3) matrix from the window's pixel space (col, row; corners) to µm, and its (height, width) in pixels,
            ``halo`` pixels wider than the cells asked for on every side.
        """
        r0, r1, _ = rows.indices(self.shape[0])
        c0, c1, _ = cols.indices(self.shape[1])
        k = pixels_per_cell
        inner = np.array([[1 / k, 0, c0 - halo / k], [0, 1 / k, r0 - halo / k], [0, 0, 1]])
        return self.affine @ inner, ((r1 - r0) * k + 2 * halo, (c1 - c0) * k + 2 * halo)

    def cropped(self) -> Grid:
        """The same cells on the smallest raster that holds them: ids are kept, since row-major order is."""
        rows, cols = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        if rows.size == 0:
            raise ValueError("mask holds no cell inside tissue; check the tissue mask.")
        r, c = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
        shift = np.array([[1, 0, c.start], [0, 1, r.start], [0, 0, 1]], dtype=float)
        return Grid(self.affine @ shift, self.mask[r, c])

    def divided(self, times: int) -> Grid:
        """The same tissue in finer cells: each of these is cut into ``times x times``."""
        TIMES("times", times)
        mask = self.mask.repeat(times, axis=0).repeat(times, axis=1)
        return Grid(self.affine @ np.diag([1 / times, 1 / times, 1.0]), mask)

    def pooled(self, times: int, *, first: tuple[int, int] = (0, 0)) -> Grid:
        """Coarser cells, each ``times x times`` of these: those that hold a cell inside tissue.

        Parameters
        ----------
        times
            How many of these cells make the side of a coarser one.
        first
            Number of the raster's first row and column where they are counted from elsewhere, such as the corner of
            the slide: coarser cells begin at multiples of ``times``.
        """
        TIMES("times", times)
        before = np.asarray(first) % times
        after = -(before + self.shape) % times
        mask = np.pad(self.mask, np.column_stack([before, after]))
        rows, cols = np.array(mask.shape) // times
        blocks = mask.reshape(rows, times, cols, times)
        frame = np.array([[times, 0, -before[1]], [0, times, -before[0]], [0, 0, 1]])
        return Grid(self.affine @ frame, np.asarray(blocks.any(axis=(1, 3))))
