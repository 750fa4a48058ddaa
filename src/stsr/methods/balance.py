"""Mass balance: what was measured under the spots corrects what was predicted, there and around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.geometry import Grid


@dataclass(frozen=True)
class Step:
    """One scale of correction.

    Parameters
    ----------
    length
        Standard deviation of the Gaussian taper in µm.
    pseudo_count
        UMI counts added to both sides of a ratio: the more, the less a low count is believed.
    pooled
        Whether a spot's ratio is taken over its neighbourhood (weighted by the taper) or over the spot alone.
    """

    length: float
    pseudo_count: float
    pooled: bool


@dataclass(frozen=True, eq=False)
class Balance:
    """A log-ratio field over the section, one value a spot, gene and step, tapered off between the spots.

    Parameters
    ----------
    spots
        Tree of spot centres in µm.
    log_ratios
        For each step, its length in µm and the (spots, genes) log ratios.
    """

    spots: cKDTree
    log_ratios: list[tuple[float, NDArray[np.float32]]]

    @classmethod
    def learn(
        cls,
        grid: Grid,
        footprint: sp.csr_array,
        spots: NDArray[np.float64],
        counts: NDArray[np.float32],
        predicted: NDArray[np.float32],
        steps: tuple[Step, ...],
    ) -> Balance:
        """Compare (spots, genes) disc sums as measured and as predicted, from the widest step to the narrowest.

        Each step sees what the ones before it have left over. A field is multiplied in cell by cell; its effect on a
        disc is taken as the exponential of its mean over the disc, which is exact where the field is flat.
        """
        tree = cKDTree(spots)
        area = np.maximum(footprint.sum(axis=1), 1e-6)
        seen = footprint.sum(axis=1) > 0
        predicted = predicted.copy()
        log_ratios = []
        for step in steps:
            observed, expected = np.where(seen[:, None], counts, 0), np.where(seen[:, None], predicted, 0)
            if step.pooled:
                pool = taper(tree, spots, step.length, normalised=False)
                observed, expected = pool @ observed, pool @ expected
            ratio = np.log((observed + step.pseudo_count) / (expected + step.pseudo_count)).astype(np.float32)
            log_ratios.append((step.length, ratio))
            on_cells = taper(tree, grid.xy, step.length, normalised=True)
            predicted *= np.exp((footprint @ on_cells @ ratio) / area[:, None])
        return cls(tree, log_ratios)

    def __call__(self, xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """(cells, genes) factor for cells at ``xy`` (cells, 2) in µm."""
        return np.exp(sum(taper(self.spots, xy, length, normalised=True) @ ratio for length, ratio in self.log_ratios))


def taper(spots: cKDTree, xy: NDArray[np.float64], length: float, *, normalised: bool, count: int = 12) -> sp.csr_array:
    """(points, spots) Gaussian weights of the nearest spots.

    Normalised weights sum to one between spots and fall to zero away from all of them: their sum is held up to the
    value it has two lengths from a single spot.
    """
    distance, near = spots.query(xy, k=min(count, spots.n), workers=-1)
    distance, near = distance.reshape(len(xy), -1), near.reshape(len(xy), -1)
    weight = np.exp(-0.5 * (distance / length) ** 2)
    if normalised:
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), np.exp(-2.0))
    rows = np.repeat(np.arange(len(xy)), near.shape[1])
    return sp.csr_array((weight.ravel().astype(np.float32), (rows, near.ravel())), shape=(len(xy), spots.n))
