"""A slide of printed spots: where they lie, and which molecules of a finer section they catch."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from stsr.geometry.aperture import Disc
from stsr.geometry.lattice_fit import LAYOUTS

MOLECULES = 2**20
"""Molecules displaced at a time, about 100 bytes each."""


def lay_spots(
    points: ArrayLike, *, pitch: float, diameter: float, layout: str, angle: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lay as many spots as fit over the bounding box of points, in its middle.

    Parameters
    ----------
    points
        (n, 2) in µm.
    pitch
        µm between neighbouring spots.
    diameter
        Of a spot, in µm; whole discs lie in the box.
    layout
        ``"hexagonal"`` or ``"square"``.
    angle
        Rotation of the lattice, and of the box with it, in degrees; clockwise as seen in the image.

    Returns
    -------
    rowcol, xy
        (spots, 2) row and column, and (spots, 2) centres in µm. As on Visium slides, columns of a hexagonal lattice are
        half a pitch apart: even rows have even columns, odd rows odd ones.
    """
    turn = np.deg2rad(angle)
    rotate = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    level = np.asarray(points, dtype=np.float64) @ rotate.T
    low, size = level.min(axis=0), np.ptp(level, axis=0)

    step = pitch * LAYOUTS[layout]
    n_cols, n_rows = np.maximum((size - diameter) // step + 1, 0).astype(int)
    rowcol = np.argwhere(np.ones((n_rows, n_cols), dtype=bool))
    if layout == "hexagonal":
        rowcol = rowcol[rowcol.sum(axis=1) % 2 == 0]
    margin = (size - step * [n_cols - 1, n_rows - 1]) / 2
    return rowcol, (rowcol[:, ::-1] * step + margin + low) @ rotate


def spot_of(xy: ArrayLike, spots: NDArray[np.float64], diameter: float) -> NDArray[np.int64]:
    """(points,) which of the spots (spots, 2) holds each point (points, 2), -1 for none; of two, the nearer one."""
    _, nearest = cKDTree(spots).query(xy)
    return np.where(Disc(diameter).covers(xy - spots[nearest]), nearest, -1)


def catch(
    counts: sp.csr_array,
    xy: NDArray[np.float64],
    spots: NDArray[np.float64],
    diameter: float,
    *,
    diffusion: float = 0.0,
    efficiency: float | NDArray[np.float64] = 1.0,
    rng: np.random.Generator,
) -> sp.csr_array:
    """Molecules that a slide of spots catches from bins. None is caught twice; those between the spots are lost.

    Parameters
    ----------
    counts
        (bins, genes) whole numbers.
    xy
        (bins, 2) centres in µm; all molecules of a bin start there.
    spots
        (spots, 2) centres in µm.
    diameter
        Of a spot, in µm.
    diffusion
        Every molecule moves by a Gaussian of this standard deviation along each axis, in µm, before it is caught.
    efficiency
        Probability that a spot keeps a molecule that has reached it; of all spots, or (spots,) of each.
    rng
        What decides.

    Returns
    -------
    (spots, genes) whole numbers, in the type of ``counts``.
    """
    if diffusion > 0:
        caught = _diffused(counts, xy, spots, diameter, diffusion, rng)
    else:
        caught = _gather(spot_of(xy, spots, diameter), len(spots)) @ counts
    if np.min(efficiency, initial=1) < 1:
        kept = np.repeat(np.broadcast_to(efficiency, len(spots)), np.diff(caught.indptr))
        caught.data = rng.binomial(caught.data.astype(np.int64), kept).astype(counts.dtype)
    caught.eliminate_zeros()
    caught.sort_indices()
    return caught


def _gather(spot: NDArray[np.int64], n_spots: int) -> sp.csr_array:
    """(spots, points) operator that sums over the points of each spot."""
    caught = np.flatnonzero(spot >= 0)
    ones = np.ones(len(caught), dtype=np.float32)
    return sp.csr_array((ones, (spot[caught], caught)), shape=(n_spots, len(spot)))


def _diffused(
    counts: sp.csr_array,
    xy: NDArray[np.float64],
    spots: NDArray[np.float64],
    diameter: float,
    diffusion: float,
    rng: np.random.Generator,
) -> sp.csr_array:
    """:func:`catch` one molecule after the other, in runs of bins that hold about ``MOLECULES`` of them."""
    shape = (len(spots), counts.shape[1])
    caught = sp.csr_array(shape, dtype=counts.dtype)
    before = np.cumsum(counts.sum(axis=1, dtype=np.int64))
    cuts = np.unique(np.searchsorted(before, np.arange(0, max(before[-1], 1), MOLECULES), side="right"))
    for start, stop in zip(cuts, [*cuts[1:], len(xy)], strict=True):
        band: Any = counts[start:stop].tocoo()
        number = band.data.astype(np.int64)
        bins, genes = np.repeat(band.row, number), np.repeat(band.col, number)
        spot = spot_of(xy[start:stop][bins] + rng.normal(scale=diffusion, size=(len(bins), 2)), spots, diameter)
        kept = spot >= 0
        one = np.ones(int(kept.sum()), dtype=counts.dtype)
        caught = caught + sp.csr_array((one, (spot[kept], genes[kept])), shape=shape)
    return caught
