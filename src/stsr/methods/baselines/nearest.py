"""Nearest spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.methods.base import MethodInfo, register
from stsr.methods.shared.spot_weights import Interpolation, Weights, sparse_weights
from stsr.options import Options


@dataclass(frozen=True)
class NearestConfig(Options):
    """The nearest spot has no options."""


@register
class Nearest(Interpolation):
    """λ(b) = y_s / cells in a disc, with s the spot nearest to the cell's centre (Voronoi cells, order 0)."""

    info: ClassVar = MethodInfo(
        name="nearest",
        title="Nearest spot",
        paper="Thiessen, Mon. Weather Rev. 39",
        year=1911,
        needs=frozenset({"spots"}),
        fit_spots=1,
        predict_spots=1,
    )
    Config: ClassVar = NearestConfig

    def weights(self, spots: NDArray[np.float64]) -> Weights:
        """One spot with weight 1."""
        tree = cKDTree(spots)

        def weigh(xy):
            _, nearest = tree.query(xy, k=[1])
            return sparse_weights(nearest, np.ones(nearest.shape), len(spots))

        return weigh
