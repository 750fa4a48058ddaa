"""Which cells lie under which spot, and by how much."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from stsr.geometry.aperture import Aperture
from stsr.geometry.grid import Grid

PAIRS = 2**21
"""Pairs of a spot and a cell looked at together, about 100 bytes each."""


def footprint(grid: Grid, xy: ArrayLike, aperture: Aperture, *, subsamples: int = 5) -> sp.csr_array:
    """Share of each cell's area that lies under each spot.

    Parameters
    ----------
    grid
        The grid; only cells inside tissue take part.
    xy
        (spots, 2) spot centres in µm.
    aperture
        What a spot covers around its centre.
    subsamples
        A cell's area is measured on ``subsamples x subsamples`` points.

    Returns
    -------
    (spots, cells) sparse float32 matrix with entries in (0, 1]. Its product with counts per cell sums the cells of
    each disc.
    """
    xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    offsets, points = _around(grid, aperture, subsamples)
    batch = max(1, PAIRS // len(offsets))
    parts = [_shares(grid, xy[start : start + batch], aperture, offsets, points) for start in range(0, len(xy), batch)]
    return sp.csr_array(sp.vstack(parts)) if parts else sp.csr_array((0, grid.n_cells), dtype=np.float32)


def covered_share(
    grid: Grid, xy: NDArray[np.float64], aperture: Aperture, shares: sp.csr_array, *, subsamples: int = 5
) -> NDArray[np.float32]:
    """How much of each spot lies on cells.

    Parameters
    ----------
    grid, xy, aperture, subsamples
        As given to :func:`footprint`.
    shares
        The (spots, cells) footprint.

    Returns
    -------
    (spots,) share of what the spot covers that lies on cells, 0 to 1. It is 1 to the last digit for a spot that lies on
    cells as a whole, since both areas are measured on the same points.
    """
    area = shares.sum(axis=1)
    covered = np.where(area > 0, 1.0, 0.0)
    # What holds as much as a whole spot lies on cells as a whole, or so nearly that it makes no difference.
    less = np.flatnonzero((area > 0) & (area < aperture.area / grid.bin_size**2))
    offsets, points = _around(grid, aperture, subsamples)
    batch = max(1, PAIRS // len(offsets))
    for start in range(0, len(less), batch):
        some = less[start : start + batch]
        corner = grid.to_um(np.floor(grid.to_index(xy[some]))[:, None] + offsets) - xy[some, None]
        whole = sum(aperture.covers(corner + point).sum(axis=1) for point in points) / len(points)
        covered[some] = np.minimum(area[some] / whole, 1)
    covered[covered > 1 - 1e-5] = 1
    return covered.astype(np.float32)


def _around(grid: Grid, aperture: Aperture, subsamples: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(col, row) of the cells that a spot may cover, from its own, and places in a cell at which that is looked up."""
    reach = int(np.ceil(aperture.reach / grid.bin_size)) + 1
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="xy"), axis=-1).reshape(-1, 2)
    steps = (np.arange(subsamples) + 0.5) / subsamples
    points = np.stack(np.meshgrid(steps, steps, indexing="xy"), axis=-1).reshape(-1, 2) @ grid.affine[:2, :2].T
    return offsets, points


def _shares(
    grid: Grid,
    xy: NDArray[np.float64],
    aperture: Aperture,
    offsets: NDArray[np.int64],
    points: NDArray[np.float64],
) -> sp.csr_array:
    """(spots, cells) shares of the cells at ``offsets`` around each spot, measured on ``points`` of a cell."""
    colrow = np.floor(grid.to_index(xy)).astype(np.int64)[:, None, :] + offsets
    rows, cols = grid.shape
    inside = (colrow >= 0).all(-1) & (colrow[..., 0] < cols) & (colrow[..., 1] < rows)
    labels = np.zeros(inside.shape, dtype=np.int64)
    labels[inside] = grid.labels[colrow[inside][:, 1], colrow[inside][:, 0]]
    spot, slot = np.nonzero(labels)

    corner = grid.to_um(colrow[spot, slot]) - xy[spot]
    share = np.zeros(spot.size, dtype=np.float32)
    for point in points:
        share += aperture.covers(corner + point)
    share /= np.float32(len(points))

    keep = share > 0
    return sp.csr_array((share[keep], (spot[keep], labels[spot, slot][keep] - 1)), shape=(len(xy), grid.n_cells))


def cell_lookup(grid: Grid, xy: ArrayLike) -> NDArray[np.int64]:
    """Position (0-based) of the cell that holds each point (points, 2) in µm; -1 outside tissue."""
    colrow = np.floor(grid.to_index(xy)).astype(np.int64).reshape(-1, 2)
    rows, cols = grid.shape
    inside = (colrow >= 0).all(-1) & (colrow[:, 0] < cols) & (colrow[:, 1] < rows)
    found = np.full(len(colrow), -1, dtype=np.int64)
    found[inside] = grid.labels[colrow[inside, 1], colrow[inside, 0]].astype(np.int64) - 1
    return found
