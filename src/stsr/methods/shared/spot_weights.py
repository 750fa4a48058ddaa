"""Base of the interpolating baselines: the expression of a cell is a weighted mean of spots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.methods.base import Method, Prediction, Predictor, Training
from stsr.methods.expected import Expected, Facts
from stsr.methods.shared.neighbours import nearest_spots
from stsr.section import Section

FAR = 20
"""Largest distance of the nearest spot from the tissue, in radii of a spot; beyond, spots and grid do not match."""

TOUCHING = 1e-3
"""Smallest distance in µm: a point at a spot's centre gets the value of that spot."""

Weights = Callable[[NDArray[np.float64]], sp.csr_array]
"""From points (points, 2) in µm to the (points, spots) sparse float32 weights of the spots, each row with sum 1."""


class Interpolation(Method):
    """A method without training: λ(b) = Σ_s w_s(b) y_s / cells in a disc, with Σ_s w_s = 1.

    Counts of a spot over the cells of its disc are counts per cell. A subclass defines the weights.
    """

    @abstractmethod
    def weights(self, spots: NDArray[np.float64]) -> Weights:
        """Prepare the weights of ``spots`` (spots, 2), in µm."""

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Only check that spots lie near the tissue of the grid."""
        near, _ = cKDTree(section.grid.xy).query(section.spots) if len(section.spots) else (np.array([np.inf]), None)
        if near.min() > FAR * section.aperture.reach:
            raise ValueError(
                f"spots={len(section.spots)} lie {near.min():.0f} µm from the grid's tissue or more; check that the tissue "
                "covers the spots."
            )
        return self

    def expected(self, facts: Facts) -> Expected:
        """No arrays."""
        return ()

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Interpolate the spots of ``section``."""
        weigh = self.weights(section.spots)
        density = section.counts.toarray() / np.float32(section.spot_cells)

        def predict(rows: slice) -> Prediction:
            return Prediction(mean=weigh(section.grid.xy[section.grid.cells(rows)]) @ density)

        return predict


def sparse_weights(columns: NDArray[np.int64], weights: NDArray[np.float64], n_spots: int) -> sp.csr_array:
    """(points, spots) float32 from ``columns`` and ``weights``, both (points, k)."""
    n, k = columns.shape
    return sp.csr_array((weights.astype(np.float32).ravel(), columns.ravel(), np.arange(n + 1) * k), shape=(n, n_spots))


def inverse_distance(spots: NDArray[np.float64], *, neighbours: int, power: float) -> Weights:
    """Weights w_s ∝ d(b, s)^-power over the nearest spots (Shepard 1968, eq. 1)."""
    tree = cKDTree(spots)

    def weigh(xy: NDArray[np.float64]) -> sp.csr_array:
        distance, nearest = nearest_spots(tree, xy, neighbours)
        inverse = np.maximum(distance, TOUCHING) ** -power
        return sparse_weights(nearest, inverse / inverse.sum(axis=1, keepdims=True), len(spots))

    return weigh
