"""Which cells lie under which polygon, and by exactly how much."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.geometry.grid import Grid

EDGES = 2**18
"""Edges of polygons looked at together, about 1 kB each."""

LEAST = 1e-9
"""A share of a cell below this is rounding."""


def polygon_footprint(
    grid: Grid, edges: NDArray[np.float64], polygon: NDArray[np.int64], *, n_polygons: int
) -> sp.csr_array:
    r"""Share of each cell's area that lies in each polygon, exact but for rounding.

    By Green's theorem the area of a polygon within the unit cell that begins at column :math:`c` is
    :math:`\oint \min(\max(x - c, 0), 1)\, dy` along the polygon's outline in the cell's row: a piece of the outline
    inside the cell counts :math:`(\bar x - c)\,\Delta y`, one further to the right :math:`\Delta y`, one to the left
    nothing.

    Parameters
    ----------
    grid
        The grid; only cells inside tissue take part.
    edges
        (edges, 2, 2) where each edge begins and where it ends, (x, y) in µm. The edges of a polygon make closed rings:
        outer ones turn from x towards y, holes the other way.
    polygon
        (edges,) 0-based number of the polygon that each belongs to, ascending.
    n_polygons
        Number of polygons.

    Returns
    -------
    (polygons, cells) sparse float32 matrix with entries in (0, 1], as from :func:`stsr.geometry.footprint`.
    """
    batch = (np.cumsum(np.bincount(polygon)) // EDGES)[polygon]  # a polygon's edges stay together
    bounds = np.flatnonzero(np.diff(batch, prepend=-1, append=np.inf))
    total = sp.csr_array((n_polygons, grid.n_cells), dtype=np.float32)
    for start, stop in pairwise(bounds):
        polygons, (row, col), share = _shares(grid.to_index(edges[start:stop]), polygon[start:stop], grid.shape)
        label = grid.labels[row, col].astype(np.int64)
        share = share * np.sign(np.linalg.det(grid.affine))  # a flip turns the rings round
        kept = (label > 0) & (share > LEAST)
        shares = share[kept].clip(max=1).astype(np.float32)
        total = total + sp.csr_array((shares, (polygons[kept], label[kept] - 1)), shape=total.shape)
    return sp.csr_array(total)


def _shares(
    edges: NDArray[np.float64], polygon: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]:
    """Polygon, (row, column) and share of every cell between a polygon's first and last edge in a row of cells."""
    rows, cols = shape
    pieces, edge = _cut(edges, axis=1)
    pieces, piece = _cut(pieces, axis=0)
    polygon = polygon[edge[piece]]
    col, row = np.floor(pieces.mean(axis=1)).astype(np.int64).T
    reach = pieces[:, :, 0].mean(axis=1) - col
    height = np.diff(pieces[:, :, 1], axis=1)[:, 0]
    col = np.clip(col, -1, cols)  # beside the grid it does not matter how far
    met = (row >= 0) & (row < rows)

    # A strip is what one polygon has in one row: a run of cells from the leftmost to the rightmost piece.
    strips, strip = np.unique(polygon[met] * rows + row[met], return_inverse=True)
    col, reach, height = col[met], reach[met], height[met]
    first, last = np.full(len(strips), cols), np.full(len(strips), -1)
    np.minimum.at(first, strip, col)
    np.maximum.at(last, strip, col)
    length = last - first + 1
    offset = np.cumsum(length) - length
    run = np.repeat(np.arange(len(strips)), length)
    # Pieces to the right of a cell: minus all others, since the heights of a strip add up to 0.
    cell = offset[strip] + col - first[strip]
    share = np.bincount(cell, height * reach, len(run)) - np.cumsum(np.bincount(cell, height, len(run)))

    col = first[run] + np.arange(len(run)) - offset[run]
    on = (col >= 0) & (col < cols)
    polygon, row = np.divmod(strips[run[on]], rows)
    return polygon, (row, col[on]), share[on]


def _cut(edges: NDArray[np.float64], axis: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges (edges, 2, 2) cut where a coordinate is a whole number: (pieces, 2, 2), and the edge of each piece."""
    start, stop = edges[:, 0, axis], edges[:, 1, axis]
    low, high = np.floor(np.minimum(start, stop)), np.ceil(np.maximum(start, stop))
    number = np.maximum(high - low, 1).astype(np.int64)
    edge = np.repeat(np.arange(len(edges)), number)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(number) - number, number)

    pieces = edges[edge]
    later = np.flatnonzero(step)  # pieces that begin at a cut, where the one before them ends
    of = edge[later]
    line = np.where(stop > start, low, high)[of] + np.sign(stop - start)[of] * step[later]
    along = (line - start[of]) / (stop - start)[of]
    cuts = edges[of, 0] + along[:, None] * (edges[of, 1] - edges[of, 0])
    cuts[:, axis] = line
    pieces[later, 0] = pieces[later - 1, 1] = cuts
    return pieces, edge
