"""Splits of the spots: those that a method is given, and those that are hidden and predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.geometry import fit_affine, nearest_pitch

BLOCK = 4.0
"""Side of a hidden block in pitches."""

BUFFER = 1.5
"""Distance in pitches from hidden spots within which no spot is given: that of their neighbours, diagonal ones too."""

SHARE = 0.2
"""Share of the blocks that is hidden."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where the spots of a section lie on their array.

    Parameters
    ----------
    rowcol
        (spots, 2) row and column, whole numbers.
    xy
        (spots, 2) position of that row and column in µm; spots of legacy sections are printed up to 40 µm off it.
    pitch
        µm between neighbours.
    """

    rowcol: NDArray[np.int64]
    xy: NDArray[np.float64]
    pitch: float

    @classmethod
    def fit(cls, rowcol: NDArray[np.int64], xy: NDArray[np.float64]) -> Lattice:
        """The lattice of spots with these rows and columns (spots, 2), measured at (spots, 2) µm."""
        affine = fit_affine(rowcol[:, ::-1], xy)
        places = rowcol[:, ::-1] @ affine[:2, :2].T + affine[:2, 2]
        return cls(rowcol, places, nearest_pitch(places))


@dataclass(frozen=True, eq=False)
class Parts:
    """(spots,) masks of the spots that are given and of those that are hidden; a buffer is neither."""

    given: NDArray[np.bool_]
    hidden: NDArray[np.bool_]


Split = Callable[[Lattice, np.random.Generator], Parts]


def random_half(lattice: Lattice, rng: np.random.Generator) -> Parts:
    """Give a random half of the spots, hide the others."""
    given = rng.permutation(len(lattice.xy)) < len(lattice.xy) // 2
    return Parts(given, ~given)


def alternate(lattice: Lattice, rng: np.random.Generator) -> Parts:
    """Give the spots of every second row and column, a quarter of all, and hide the others.

    On a hexagonal lattice a row has only every second column number; columns are counted along the row. The first row
    and column are random.
    """
    row, col = lattice.rowcol.T
    hexagonal = len(np.unique((row + col) % 2)) == 1
    row_start, col_start = rng.integers(2, size=2)
    given = ((row + row_start) % 2 == 0) & ((col // (1 + hexagonal) + col_start) % 2 == 0)
    return Parts(given, ~given)


def blocked(lattice: Lattice, rng: np.random.Generator) -> Parts:
    """Hide a fifth of the square blocks of 4 pitches, and give the spots more than 1.5 pitches from hidden ones."""
    block = np.floor((lattice.xy - lattice.xy.min(axis=0)) / (BLOCK * lattice.pitch) + rng.random(2)).astype(np.int64)
    _, home, size = np.unique(block, axis=0, return_inverse=True, return_counts=True)
    candidates = np.flatnonzero(size >= size.max() / 2)  # blocks cut by the edge are left out
    chosen = rng.choice(candidates, max(1, round(SHARE * len(candidates))), replace=False)
    hidden = np.isin(home.ravel(), chosen)
    distance, _ = cKDTree(lattice.xy[hidden]).query(lattice.xy)
    return Parts(distance > BUFFER * lattice.pitch, hidden)
