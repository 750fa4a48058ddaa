"""Patches: a spot and cells that share its neighbouring spots, so that these are gathered once for many cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.geometry import Grid
from stsr.methods.shared.neighbours import nearest_spots


@dataclass(frozen=True, eq=False)
class Patches:
    """Cells grouped by spot, padded to one width.

    Parameters
    ----------
    anchor
        (n,) the spot whose neighbours the cells of the patch use.
    cells
        (n, p) indices of the cells; padding repeats the first.
    weight
        (n, p) float32 weight of each cell in the spot's sum; 0 marks padding.
    """

    anchor: NDArray[np.int64]
    cells: NDArray[np.int64]
    weight: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.anchor)

    def __getitem__(self, index: slice | NDArray[Any]) -> Patches:
        return Patches(self.anchor[index], self.cells[index], self.weight[index])


def pad(anchor: NDArray[np.int64], lengths: NDArray[np.int64], cells: NDArray, weight: NDArray) -> Patches:
    """Patches from concatenated runs: ``cells`` and ``weight`` hold ``lengths[i]`` successive entries for ``anchor[i]``."""
    keep = lengths > 0
    start = np.cumsum(lengths) - lengths
    anchor, lengths, start = anchor[keep], lengths[keep], start[keep]
    slot = np.arange(lengths.max(initial=1))
    inside = slot < lengths[:, None]
    place = np.where(inside, start[:, None] + slot, start[:, None])
    return Patches(anchor, cells[place], np.where(inside, weight[place], 0).astype(np.float32))


def under_spots(footprint: sp.csr_array) -> Patches:
    """One patch per spot, with the cells under it; spots without a cell on tissue have no patch."""
    return pad(
        np.arange(footprint.shape[0]), np.diff(footprint.indptr), footprint.indices.astype(np.int64), footprint.data
    )


def around_spots(grid: Grid, cells: NDArray[np.int64], spots: cKDTree, *, size: int, batch: int) -> Iterator[Patches]:
    """The given cells (n,) in patches of at most ``size`` cells with the same nearest spot; 0 in a section without spots.

    Yields batches of about ``batch`` cells. Patches are sorted by length, so that there is little padding.
    """
    xy = grid.xy[cells]
    nearest = nearest_spots(spots, xy, 1)[1][:, 0] if spots.n else np.zeros(len(xy), dtype=np.int64)
    order = np.argsort(nearest, kind="stable")
    owner, counts = np.unique(nearest, return_counts=True)
    pieces = -(-counts // size)
    anchor = np.repeat(owner, pieces)
    last = np.cumsum(pieces) - 1
    lengths = np.full(len(anchor), size, dtype=np.int64)
    lengths[last] = counts - (pieces - 1) * size
    patches = pad(anchor, lengths, cells[order], np.ones(len(order), dtype=np.float32))
    left = np.argsort(-lengths, kind="stable")
    while len(left):
        longest = lengths[left[0]]
        part, left = np.split(left, [max(1, batch // longest)])
        yield Patches(patches.anchor[part], patches.cells[part, :longest], patches.weight[part, :longest])
