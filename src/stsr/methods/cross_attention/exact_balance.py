"""Exact mass balance: the cells under a spot add up to what it measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.section import Section

CERTAIN = 20.0
"""UMI counts of a gene in a spot from which on the spot is met exactly."""

PSEUDO_COUNT, PSEUDO_COUNT_BETWEEN = 1.5, 60.0
"""UMI counts added to both sides of a ratio under a spot, where measured noise is to be met, and between spots, where it
is not."""

SHARED = 0.5
"""Share of the log ratio of all genes together that is expected of each: part of it is the spot's own efficiency, or
of a few genes."""

EDGE, LENGTH = 0.12, 0.7
"""How far a spot's own ratio reaches beyond its edge, and standard deviation of the mean over spots that holds between them,
in pitches of the spots."""

TOUCHING = 1e-3
"""µm: a cell this near to a spot is under it."""

NEIGHBOURS = 8
"""Spots that a place between them listens to."""

FAINT = 0.5
"""Least share by which the cells under a spot count as held by it: where they are wider than the spot, nothing meets it."""

TINY = 1e-4
"""Counts added where there may be none: a spot without any tissue is predicted to hold nothing."""

MIN_WEIGHT = 1e-4
"""Weight below which a spot is left out of the mean at a cell."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The correction of some cells by an exact balance.

    Parameters
    ----------
    balance
        The balance.
    held, around
        (cells, spots) weights of the correction of the spot that covers a cell, and of the smoothed corrections of the spots
        around. The two add up to one over spots.
    """

    balance: ExactBalance
    held: sp.csr_array
    around: sp.csr_array

    def factor(self, genes: slice = slice(None)) -> NDArray[np.float32]:
        """(cells, genes) what predictions are multiplied by, for some genes."""
        ratio = self.held @ self.balance.under[:, genes]
        ratio += self.around @ self.balance.between[:, genes]
        return np.exp(ratio, out=ratio)

    @property
    def known(self) -> sp.csr_array:
        """What a spot holds is known as it is."""
        return self.held


class ExactBalance:
    """A field of log ratios of measured to predicted counts that brings spots to what they measured.

    Under a spot the field is one number, which brings the spot to its target: what it measured, or for few counts
    something between that and the prediction. Away from its edge the field falls off, over a few cells and without a
    kink, to a smooth mean of the spots around, shrunk more: the noise of one spot is not signal of its neighbourhood.
    Cells at the edge, of which a spot covers a part, are corrected by both; the number makes up for them.

    The noise of a spot is thereby painted on its cells. It is for those who need sums to match.

    Of a spot that lies on cells in part, the share of its counts that came from these cells is unknown: their share in its
    area if the rest is tissue as well, all counts if the rest is bare glass. A prediction between the two is not corrected.
    The smaller the part, the smaller the weight of the spot's own correction, and the larger that of the smoothed one.

    Parameters
    ----------
    section
        The section.
    spots
        Tree of its spots.
    pitch
        Distance between them in µm.
    predicted
        (spots, genes) counts.

    Attributes
    ----------
    under, between
        (spots, genes) log ratios by which the cells under a spot are corrected, and those that are smoothed between spots.
        The first makes up for what the smoothed ones contribute under a spot.
    deviation
        How far sums under spots are from what these measured, but for few counts.
    """

    deviation = 0.0

    def __init__(self, section: Section, spots: cKDTree, pitch: float, predicted: NDArray[np.float32]) -> None:
        self.spots, self.aperture, self.covered = spots, section.aperture, section.covered
        self.edge, self.length = EDGE * pitch, LENGTH * pitch
        footprint = section.footprint
        cells = np.unique(footprint.indices)
        weights = self.at(section.grid.xy[cells])
        area = footprint.sum(axis=1)
        mean = sp.csr_array(sp.diags_array(1 / np.where(area > 0, area, 1)) @ footprint[:, cells], dtype=np.float32)
        held = np.maximum((mean @ weights.held).sum(axis=1), FAINT)[:, None]
        around = mean @ weights.around
        # Under a spot the smoothed ratios have next to no weight; it is raised to what the spot's own lacks.
        smoothed = around.sum(axis=1)
        lacking = (1 - self.covered) / np.where(smoothed > 0, smoothed, 1)
        instead = sp.csr_array(sp.diags_array(lacking) @ around, dtype=np.float32)
        ratio, self.between = self._ratios(section.counts.toarray(), predicted)
        self.under = (self.covered[:, None] * ratio + (instead - around) @ self.between) / held

    def _ratios(
        self, measured: NDArray[np.float32], predicted: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compare (spots, genes) measured and predicted counts, under spots and between them."""
        covered = self.covered[:, None]
        totals = measured.sum(axis=1, keepdims=True), predicted.sum(axis=1, keepdims=True)
        measured, total = (
            np.clip(counts, covered * whole, whole) for counts, whole in ((predicted, measured), (totals[1], totals[0]))
        )
        expected = np.exp(SHARED * log_ratio(total, totals[1], 1.0, PSEUDO_COUNT_BETWEEN))
        pseudo_count = PSEUDO_COUNT * np.maximum(1 - measured / CERTAIN, 0)
        return (
            log_ratio(measured, predicted, expected, pseudo_count),
            log_ratio(measured, predicted, expected, PSEUDO_COUNT_BETWEEN),
        )

    def at(self, xy: NDArray[np.float64]) -> Weights:
        """Weights of the spots at (cells, 2) places in µm."""
        distance, near = self.spots.query(xy, k=range(1, min(NEIGHBOURS, self.spots.n) + 1), workers=-1)
        beyond = np.maximum(self.aperture.beyond(xy[:, None] - self.spots.data[near]), TOUCHING)
        held = beyond**-2
        held *= np.exp(-((beyond.min(axis=1, keepdims=True) / self.edge) ** 2)) / held.sum(axis=1, keepdims=True)
        held[held < MIN_WEIGHT] = 0
        around = np.exp(-0.5 * (distance / self.length) ** 2)
        around[around < MIN_WEIGHT] = 0
        around *= self.covered[near]  # in proportion to the part of the spot that lies on cells
        # Sums to one among spots, and fades to nothing beyond two lengths from the outermost.
        around /= np.maximum(around.sum(axis=1, keepdims=True), np.exp(-2.0))
        around *= 1 - held.sum(axis=1, keepdims=True)
        return Weights(self, self._mix(held, near), self._mix(around, near))

    def _mix(self, weights: NDArray[np.float64], near: NDArray[np.int64]) -> sp.csr_array:
        starts = np.arange(len(near) + 1) * near.shape[1]
        return sp.csr_array((weights.astype(np.float32).ravel(), near.ravel(), starts), shape=(len(near), self.spots.n))


def log_ratio(
    measured: NDArray, predicted: NDArray, expected: NDArray | float, pseudo_count: NDArray | float
) -> NDArray[np.float32]:
    """Logarithm of measured over predicted counts, drawn towards that of the ratio ``expected`` by a pseudo-count."""
    return np.log((measured + pseudo_count * expected + TINY) / (predicted + pseudo_count + TINY)).astype(np.float32)
