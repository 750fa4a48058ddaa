"""Sums over cells around spots, from rates that are spread only once the sums are known, and from every second cell."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.geometry import Grid
from stsr.methods.cross_attention.diffusion import Diffusion


def thinned(weights: sp.csr_array, diffusion: Diffusion, grid: Grid) -> sp.csr_array:
    """(rows, cells) weights on every second cell before rates are spread, that give about the sums of all cells after it.

    Weights may be below 0: what a row weighs above and below 0 is kept, each for itself.
    """
    above, below = weights.maximum(0), (-weights).maximum(0)
    return sp.csr_array(
        every_second(diffusion.footprint(above, grid), grid.rowcol)
        - every_second(diffusion.footprint(below, grid), grid.rowcol)
    )


def every_second(discs: sp.csr_array, rowcol: NDArray[np.int64]) -> sp.csr_array:
    """(spots, cells) weights on every second cell, as on a chessboard, that stand for all: neighbours are correlated."""
    chosen = (rowcol.sum(axis=1) % 2 == 0).astype(discs.dtype)
    some = discs @ sp.diags_array(chosen)
    lacking = (discs.sum(axis=1) > 0) & (some.sum(axis=1) <= 0)
    some = some + sp.diags_array(lacking.astype(discs.dtype)) @ discs
    whole = discs.sum(axis=1) / np.maximum(some.sum(axis=1), 1e-9)
    some = sp.csr_array(sp.diags_array(whole.astype(discs.dtype)) @ some)
    some.eliminate_zeros()
    return some
