"""Counts moved from one grid to another."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from stsr.geometry.footprint import cell_lookup
from stsr.geometry.grid import Grid

FINENESS = 5
"""Points across the smaller of a source and a target cell: edges are right to a tenth of its side."""
POINTS = 2**20
"""Points looked up at a time."""


def resample(source: Grid, target: Grid) -> sp.csr_array:
    """Share of each source cell that falls into each target cell.

    Parameters
    ----------
    source, target
        Two grids in the same µm frame, whatever their cells' sizes and angles.

    Returns
    -------
    (target cells, source cells) sparse float32 matrix. Its product with counts per source cell gives counts per target
    cell: counts are spread evenly over their cell, and what falls beside the target is lost. A target cell that lies
    wholly inside the source's tissue has a row that adds up to its area over that of a source cell. Between equal grids
    it is the identity.
    """
    ratio = target.bin_size / source.bin_size
    steps = int(np.ceil(FINENESS * max(1.0, ratio) - 0.01))
    inner = (np.arange(steps) + 0.5) / steps
    points = np.stack(np.meshgrid(inner, inner), axis=-1).reshape(-1, 2)
    weight = ratio**2 / len(points)

    batch = max(1, POINTS // len(points))
    pieces = []
    for start in range(0, target.n_cells, batch):
        corners = target.rowcol[start : start + batch, ::-1]
        found = cell_lookup(source, target.to_um((corners[:, None] + points).reshape(-1, 2)))
        hit = np.flatnonzero(found >= 0)
        weights = np.full(len(hit), weight)
        piece = sp.csr_array((weights, (hit // len(points), found[hit])), shape=(len(corners), source.n_cells))
        pieces.append(piece.astype(np.float32))  # only now, so that shares that make a whole make exactly 1
    return sp.csr_array(sp.vstack(pieces, format="csr"))
