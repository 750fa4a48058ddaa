"""Spot and bin lattices: their pitch in pixels and the affine behind row and column numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree


def nearest_pitch(xy: ArrayLike) -> float:
    """Pitch of a spot lattice: the median distance between a spot and its nearest neighbour, in the units of ``xy``.

    The median is untouched by the lattice's border and by missing spots.
    """
    xy = np.asarray(xy, dtype=np.float64)
    if len(xy) < 2:
        raise ValueError(f"xy must hold at least 2 spots to tell a pitch, got {len(xy)}.")
    distance, _ = cKDTree(xy).query(xy, k=2)
    return float(np.median(distance[:, 1]))


def fit_affine(colrow: ArrayLike, xy: ArrayLike) -> NDArray[np.float64]:
    """Least-squares similarity or affine (3, 3) from lattice indices (n, 2) as (col, row) to points (n, 2) as (x, y).

    ``fit_affine(colrow + 0.5, centroids)`` gives the corner convention of :class:`~stsr.geometry.Grid`.
    """
    colrow, xy = np.asarray(colrow, dtype=np.float64), np.asarray(xy, dtype=np.float64)
    design = np.column_stack([colrow, np.ones(len(colrow))])
    if np.linalg.matrix_rank(design) < 3:
        raise ValueError("colrow must span two dimensions: at least 3 bins that are not on one line.")
    solution, *_ = np.linalg.lstsq(design, xy, rcond=None)
    return np.vstack([solution.T, [0, 0, 1]])
