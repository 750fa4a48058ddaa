"""Mass balance: what was measured under the spots corrects what was predicted, there and around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree


@dataclass(frozen=True, eq=False)
class Balance:
    """A field of log ratios, one value a spot and gene, tapered off between the spots.

    The ratio of a spot is that of measured to predicted counts of its disc, both raised by a pseudo-count: the fewer
    counts there are, the less they move the prediction. The field is smooth on the scale of a disc, so it leaves no
    rings.

    Parameters
    ----------
    spots
        Tree of spot centres in µm.
    log_ratio
        (spots, genes)
    length
        Standard deviation of the Gaussian taper in µm.
    """

    spots: cKDTree
    log_ratio: NDArray[np.float32]
    length: float

    @classmethod
    def learn(
        cls,
        spots: cKDTree,
        measured: NDArray[np.float32],
        predicted: NDArray[np.float32],
        *,
        length: float,
        pseudo_count: float,
    ) -> Balance:
        """Compare (spots, genes) disc sums as measured and as predicted."""
        return cls(spots, np.log((measured + pseudo_count) / (predicted + pseudo_count)).astype(np.float32), length)

    def __call__(self, xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """(cells, genes) factor for cells at ``xy`` (cells, 2) in µm."""
        return np.exp(taper(self.spots, xy, self.length) @ self.log_ratio)


def taper(spots: cKDTree, xy: NDArray[np.float64], length: float, *, count: int = 6) -> sp.csr_array:
    """(points, spots) Gaussian weights of the nearest spots.

    They sum to one between spots and fall to zero away from all of them: the sum is held up to the value it has two
    lengths from a single spot.
    """
    distance, near = spots.query(xy, k=min(count, spots.n), workers=-1)
    distance, near = distance.reshape(len(xy), -1), near.reshape(len(xy), -1)
    weight = np.exp(-0.5 * (distance / length) ** 2)
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), np.exp(-2.0))
    starts = np.arange(len(xy) + 1) * near.shape[1]
    return sp.csr_array((weight.astype(np.float32).ravel(), near.ravel(), starts), shape=(len(xy), spots.n))
