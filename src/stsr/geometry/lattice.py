"""Spot and bin lattices: their pitch in pixels and the affine behind row and column numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

FAR = 0.5
"""Pitches from its place on the lattice at which a single position is wrong."""

STRETCH = 1.1
"""How much longer one axis of a lattice may be than the other."""

ALIKE = 0.15
"""Relative difference between distances to neighbours that are one pitch."""


@dataclass(frozen=True)
class Lattice:
    """A regular array of spots in an image.

    Parameters
    ----------
    pitch
        Distance between neighbouring spots, in the units of the positions.
    layout
        ``"hexagonal"`` or ``"square"``.
    """

    pitch: float
    layout: str


def nearest_pitch(xy: ArrayLike) -> float:
    """Pitch of a spot lattice: the median distance between a spot and its nearest neighbour, in the units of ``xy``.

    The median is untouched by the lattice's border and by missing spots.
    """
    xy = np.asarray(xy, dtype=np.float64)
    if len(xy) < 2:
        raise ValueError(f"xy must hold at least 2 spots to tell a pitch, got {len(xy)}.")
    distance, _ = cKDTree(xy).query(xy, k=2)
    return float(np.median(distance[:, 1]))


def regular_lattice(xy: ArrayLike) -> Lattice | None:
    """The lattice of spots whose row and column are not known, None where positions alone do not tell it.

    They do not when spots are isolated, when sections overlap, or when spots were thinned out so that neighbours are
    nearer one way than the other. Positions that were thinned out evenly all ways look like a wider lattice.

    Parameters
    ----------
    xy
        (spots, 2) positions.
    """
    xy = np.asarray(xy, dtype=np.float64)
    if len(xy) < 4:
        return None
    tree = cKDTree(xy)
    nearest = tree.query(xy, k=2)[0][:, 1]
    pitch = float(np.median(nearest))
    if pitch == 0 or (np.abs(nearest / pitch - 1) <= ALIKE).mean() < 0.8:
        return None
    pairs = tree.query_pairs(1.3 * pitch, output_type="ndarray")
    step = (xy[pairs[:, 1]] - xy[pairs[:, 0]]) / pitch
    squared = (step**2).sum(axis=1)
    neighbours = np.bincount(pairs.ravel(), minlength=len(xy))
    if (neighbours >= 2).mean() < 0.5 or squared.min() < (1 - 3 * ALIKE) ** 2:
        return None
    # Opposite a neighbour there is another one: not so for two lattices that overlap.
    opposite, _ = tree.query(np.vstack([2 * xy[pairs[:, 0]] - xy[pairs[:, 1]], 2 * xy[pairs[:, 1]] - xy[pairs[:, 0]]]))
    if (opposite < 0.35 * pitch).mean() < 0.35:
        return None
    # On a hexagonal or square lattice neighbours are as far away in all directions, here in steps of 15 degrees.
    direction = (np.arctan2(step[:, 1], step[:, 0]) % np.pi // (np.pi / 12)).astype(int) % 12
    number, total = np.bincount(direction, minlength=12), np.bincount(direction, squared, minlength=12)
    usual = number >= 0.05 * len(pairs)
    apart = np.sqrt(total[usual] / number[usual])
    if apart.max() > STRETCH * apart.min():
        return None
    sixfold, fourfold = (abs(np.exp(fold * 1j * np.arctan2(step[:, 1], step[:, 0])).mean()) for fold in (6, 4))
    return Lattice(pitch, "hexagonal" if sixfold > fourfold + 0.2 else "square")
