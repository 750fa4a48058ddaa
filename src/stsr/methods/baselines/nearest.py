"""Nearest spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.methods.base import MethodInfo, register
from stsr.methods.shared.neighbours import nearest_spots
from stsr.methods.shared.spot_weights import Interpolation, Weights, sparse_weights
from stsr.options import Options


@dataclass(frozen=True)
class NearestConfig(Options):
    """The nearest spot has no options."""


@register
class Nearest(Interpolation):
    """Each cell takes the counts per cell of the spot nearest to its centre, which gives a map of Voronoi cells.

    It is the simplest interpolation: constant around each spot, with a step half way to the next.

    Formula
    -------
    ::

        λ_g(b) = y_sg / a

    - λ_g(b): expected count of gene g in cell b
    - y_sg: count of gene g in s, the spot whose centre is nearest to b
    - a: cells in the disc of a spot

    Source
    ------
    Thiessen assigned to each place the rainfall of the nearest station. Here stations are spots, and counts are
    divided by the cells of a disc.

    Use
    ---
    As the reference that any other method should beat, and for the expression under a spot as it was measured. Edges
    between two spots in its maps lie half way between them, not where the tissue changes.
    """

    info: ClassVar = MethodInfo(
        name="nearest",
        title="Nearest spot",
        paper="Thiessen, Mon. Weather Rev. 39",
        year=1911,
        references=("thiessen1911",),
        needs=frozenset({"spots"}),
        fit_spots=1,
        predict_spots=1,
    )
    Config: ClassVar = NearestConfig

    def weights(self, spots: NDArray[np.float64]) -> Weights:
        """One spot with weight 1."""
        tree = cKDTree(spots)

        def weigh(xy):
            _, nearest = nearest_spots(tree, xy, 1)
            return sparse_weights(nearest, np.ones(nearest.shape), len(spots))

        return weigh
