"""Sums over square blocks of cells: coarser scales from a fine one."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

FILLED = 0.9
"""Share of a block's cells that must exist: the sum of a block with many missing cells reflects the missing cells."""


def block_operator(rowcol: ArrayLike, factor: int) -> tuple[sp.csr_array, NDArray[np.int64]]:
    """Sum cells over blocks of ``factor`` x ``factor``.

    Blocks start at row and column 0. Those with fewer than 90 % of their cells are left out.

    Parameters
    ----------
    rowcol
        (cells, 2) whole row and column of each cell, from 0.
    factor
        Cells to a block's side.

    Returns
    -------
    operator, rowcol
        Sparse (blocks, cells) matrix of ones whose product with values per cell sums them by block, and (blocks, 2) the
        row and column of each block among blocks.

    Raises
    ------
    ValueError
        When ``factor`` is not positive.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> rowcol = np.argwhere(np.ones((2, 5)))
    >>> operator, blocks = stsr.metrics.block_operator(rowcol, 2)
    >>> operator @ np.arange(10)
    array([12., 20.])
    >>> blocks
    array([[0, 0],
           [0, 1]])
    """
    if factor < 1:
        raise ValueError(f"factor={factor} must be 1 or more cells to a block's side.")
    rowcol = np.asarray(rowcol, dtype=np.int64).reshape(-1, 2)
    row, col = (rowcol // factor).T
    width = int(col.max(initial=0)) + 1
    block, home, size = np.unique(row * width + col, return_inverse=True, return_counts=True)
    keep = size >= FILLED * factor**2
    place = np.cumsum(keep) - 1
    cell = np.flatnonzero(keep[home])
    ones = np.ones(len(cell), dtype=np.float32)
    operator = sp.csr_array((ones, (place[home[cell]], cell)), shape=(int(keep.sum()), len(rowcol)))
    return operator, np.column_stack(np.divmod(block[keep], width))
