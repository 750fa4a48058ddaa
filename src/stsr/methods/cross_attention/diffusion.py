"""Lateral spread of transcripts before they are captured: a Gaussian blur that never leaves the tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy import ndimage

from stsr.geometry import Grid

WINDOW_VALUES = 2**22
"""Cells of the windows around spots that are blurred at a time."""


@dataclass(frozen=True)
class Diffusion:
    """A blur whose weights sum to one over the cells inside tissue.

    Parameters
    ----------
    sigma
        Standard deviation in cells; 0 leaves everything as it is.
    """

    sigma: float

    @property
    def reach(self) -> int:
        """How many cells away it is cut off."""
        return int(np.ceil(2 * self.sigma))

    def __call__(self, values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Blur (cells, genes) inside a (rows, cols) mask."""
        if not self.reach:
            return values
        raster = np.zeros((*mask.shape, values.shape[1]), dtype=np.float32)
        raster[mask] = values
        spread = self._blur(raster)[mask]
        spread /= self._blur(mask.astype(np.float32))[mask][:, None]
        return spread

    def footprint(self, sharp: sp.csr_array, grid: Grid) -> sp.csr_array:
        """(spots, cells) what each cell gives to each spot once spread: ``footprint(F) @ v == F @ self(v)``."""
        if not self.reach or not sharp.nnz:
            return sharp
        rows, cols = grid.shape
        weight = np.maximum(self._blur(grid.mask.astype(np.float32))[grid.mask], 1e-6)
        sharp = sp.csr_array(sharp / weight)
        first = np.minimum.reduceat(*_runs(sharp, grid.rowcol)) - self.reach
        last = np.maximum.reduceat(*_runs(sharp, grid.rowcol)) + self.reach
        height, width = (last - first).max(axis=0) + 1
        labels = np.pad(grid.labels.astype(np.int64), ((self.reach, height), (self.reach, width)))
        held = np.flatnonzero(np.diff(sharp.indptr))
        parts, batch = [], max(1, WINDOW_VALUES // int(height * width))
        for start in range(0, len(held), batch):
            some = held[start : start + batch]
            corner = first[start : start + batch]
            entry = sharp[some].tocoo()
            window = np.zeros((len(some), height, width), dtype=np.float32)
            place = grid.rowcol[entry.col] - corner[entry.row]
            window[entry.row, place[:, 0], place[:, 1]] = entry.data
            window = self._blur(window, axes=(1, 2))
            row = corner[:, 0, None, None] + self.reach + np.arange(height)[:, None]
            col = corner[:, 1, None, None] + self.reach + np.arange(width)
            ids = labels[row, col]
            given = (window > 0) & (ids > 0)
            spot = np.nonzero(given)[0]
            parts.append((window[given], some[spot], ids[given] - 1))
        data, spot, cell = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return sp.csr_array((data, (spot, cell)), shape=sharp.shape)

    def _blur(self, raster: NDArray[np.float32], axes: tuple[int, int] = (0, 1)) -> NDArray[np.float32]:
        """Blur a float32 raster in place."""
        for axis in axes:
            ndimage.gaussian_filter1d(raster, self.sigma, axis=axis, output=raster, mode="constant", radius=self.reach)
        return raster


def _runs(matrix: sp.csr_array, rowcol: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of every entry, and where each row of the matrix that has any starts."""
    return rowcol[matrix.indices], matrix.indptr[:-1][np.diff(matrix.indptr) > 0]
