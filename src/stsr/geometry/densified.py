"""The densified spot lattice: the spots and the points half way between neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.geometry.lattice import nearest_pitch
from stsr.geometry.triangulation import triangulate

LONGEST = 1.5
"""Pitches between two spots that still count as neighbours: the diagonal of a square does, the border's slivers do not."""


@dataclass(frozen=True, eq=False)
class Densified:
    """Points with about four times the density of the spots, their values interpolated linearly.

    A lattice has three edges to a spot, so spots and midpoints of edges are the lattice at half its pitch.

    Parameters
    ----------
    xy
        (points, 2) in µm, in reading order: by y, then x.
    ends
        (points, 2) the two spots that a point lies half way between; twice the same for a spot itself.
    """

    xy: NDArray[np.float64]
    ends: NDArray[np.int64]

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.xy)

    @classmethod
    def of(cls, spots: NDArray[np.float64]) -> Densified:
        """Densify spots (spots, 2), in µm."""
        edges = triangulate(spots).simplices[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        edges = np.unique(np.sort(edges, axis=1), axis=0)
        length = np.linalg.norm(spots[edges[:, 0]] - spots[edges[:, 1]], axis=1)
        edges = edges[length <= LONGEST * nearest_pitch(spots)]
        ends = np.vstack([np.arange(len(spots))[:, None].repeat(2, axis=1), edges]).astype(np.int64)
        xy = spots[ends].mean(axis=1)
        order = np.lexsort((xy[:, 0], xy[:, 1]))
        return cls(xy[order], ends[order])

    def values(self, spots: NDArray[np.float32]) -> NDArray[np.float32]:
        """(points, genes) from the spots' (spots, genes)."""
        n, shares = len(self.ends), np.full(2 * len(self.ends), 0.5, dtype=np.float32)
        mean = sp.csr_array((shares, self.ends.ravel(), 2 * np.arange(n + 1)), shape=(n, len(spots)))
        return mean @ spots

    def nearest(
        self, xy: NDArray[np.float64], count: int, *, hidden: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """(n, count) points nearest to ``xy`` (n, 2); with ``hidden`` (n,), none that carries that spot's counts."""
        # a spot is part of itself and of one point for each neighbour: rarely more than eight on any lattice
        reach = min(count + (16 if hidden is not None else 0), len(self.xy))
        _, near = self._tree.query(xy, k=range(1, reach + 1))
        if hidden is not None:
            taboo = (self.ends[near] == hidden[:, None, None]).any(axis=2)
            near = np.take_along_axis(near, taboo.argsort(axis=1, kind="stable"), axis=1)
        return near[:, :count]
