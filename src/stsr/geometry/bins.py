"""The grid behind a table of bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.geometry.grid import Grid
from stsr.geometry.lattice_fit import fit_affine

LARGEST = 2**31
"""Cells of a raster; a whole Visium HD slide at 2 µm has a hundredth of them."""


def grid_of_bins(rowcol: ArrayLike, xy: ArrayLike) -> tuple[Grid, NDArray[np.int64]]:
    """Find the grid on which bins lie, whatever its rotation and flips.

    Parameters
    ----------
    rowcol
        (bins, 2) whole row and column numbers.
    xy
        (bins, 2) centroids in µm.

    Returns
    -------
    grid, position
        The grid whose cells are exactly these bins, and the 0-based cell of each bin.

    Raises
    ------
    ValueError
        When there are none, they do not lie on a regular grid of squares, or two share a row and a column.
    """
    numbers, xy = np.asarray(rowcol, dtype=np.float64), np.asarray(xy, dtype=np.float64)
    if not len(numbers):
        raise ValueError("array_row and array_col are empty; pass a table with bins.")
    if not (np.isfinite(numbers).all() and np.isfinite(xy).all() and (numbers == np.rint(numbers)).all()):
        raise ValueError(
            "array_row and array_col must be whole numbers and obsm['spatial'] finite for every bin; drop the others."
        )
    if np.prod(np.ptp(numbers, axis=0) + 1) > LARGEST:
        raise ValueError(
            f"array_row and array_col span {np.ptp(numbers[:, 0]) + 1:.0f} x {np.ptp(numbers[:, 1]) + 1:.0f} cells, more than "
            "any slide; check the two columns."
        )
    place = (numbers - numbers.min(axis=0)).astype(np.int64)
    mask = np.zeros(place.max(axis=0) + 1, dtype=bool)
    mask[place[:, 0], place[:, 1]] = True
    if mask.sum() != len(place):
        raise ValueError(f"array_row and array_col name {len(place) - mask.sum()} bins twice; each bin needs its own.")
    grid = Grid(fit_affine(place[:, ::-1] + 0.5, xy), mask)
    position = grid.labels[place[:, 0], place[:, 1]].astype(np.int64) - 1
    off = np.sqrt(((grid.xy[position] - xy) ** 2).sum(axis=1)).max()
    if off > 0.25 * grid.bin_size:
        raise ValueError(
            f"array_row and array_col do not place the bins: one is {off:.1f} µm from its row and column of a "
            f"{grid.bin_size:.1f} µm grid; check obsm['spatial'] and the two columns."
        )
    return grid, position
