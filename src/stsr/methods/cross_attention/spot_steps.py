"""Steps at the edges of spots in a prediction: the tissue has none there, so they are taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import norm

from stsr.methods.cross_attention.residual_field import TOTAL, ResidualField, single
from stsr.methods.shared.requirements import whole_spots
from stsr.methods.shared.spot_sums import disc_sums
from stsr.metrics.spot_edges import CLEAR, REACH, spot_edges
from stsr.section import Section

DISPLACED = 8
"""Displaced lattices, at whose edges steps are measured for comparison."""

SAMPLE = 1000
"""Spots of a displaced lattice that are looked at, about."""

FEWEST = 30
"""Spots whose edges can be looked at, below which nothing is taken out."""

APART = 0.8
"""Diameter of a spot in pitches from which on spots touch, and there is nothing between them to compare with."""

FLOOR = 0.05
"""Share of a gene's mean density that is added to the density at a spot, of which a step is a share."""

LARGEST = 1.0
"""Step, as a share of the density, beyond which no more is taken out."""

LEAST = 0.2
"""Factor of a cell, at least."""

BATCH = 4096
"""Spots at a time."""

TINY = 1e-12
"""Density added where a gene has none."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Where a section's predictions are looked at for steps.

    Parameters
    ----------
    seen
        (n,) the spots whose edges can be looked at.
    true
        (n, cells) weights of the step at the edge of each of them.
    displaced
        (places, cells) the same where no spots are.
    """

    seen: NDArray[np.int64]
    true: sp.csr_array
    displaced: sp.csr_array

    @classmethod
    def of(cls, section: Section, pitch: float) -> Self:
        """The edges of spots ``pitch`` µm apart; none where spots touch or nothing lies between them."""
        grid, diameter = section.grid, equal_diameter(section)
        nothing = sp.csr_array((0, grid.n_cells), dtype=np.float32)
        if diameter > APART * pitch:
            return cls(np.zeros(0, dtype=np.int64), nothing, nothing)
        distance = cKDTree(section.spots).query(grid.xy, distance_upper_bound=REACH * pitch)[0]
        if not ((distance >= CLEAR * pitch) & np.isfinite(distance)).any():
            return cls(np.zeros(0, dtype=np.int64), nothing, nothing)
        edges = spot_edges(
            grid.xy, section.spots, diameter=diameter, pitch=pitch, bin_size=grid.bin_size, n_displaced=DISPLACED
        )
        true, *displaced = edges.steps
        seen = np.flatnonzero(np.diff(true.indptr))
        every = slice(None, None, max(1, len(section.spots) // SAMPLE))
        places = sp.csr_array(sp.vstack([lattice[every] for lattice in displaced]))
        return cls(seen, true[seen], places[np.flatnonzero(np.diff(places.indptr))])


@dataclass(frozen=True, eq=False)
class CellSteps:
    """What is taken out of some cells.

    Parameters
    ----------
    steps
        The steps.
    nearest, inside
        (cells,) the nearest spot, and how far the cell is inside it: 1 well inside, 0 outside, and between at its edge.
    """

    steps: SpotSteps
    nearest: NDArray[np.int64]
    inside: NDArray[np.float32]

    def factor(self, genes: slice = slice(None)) -> NDArray[np.float32]:
        """(cells, genes) what predictions are multiplied by, for some genes."""
        taken = self.inside[:, None] * self.steps.share[:, genes][self.steps.row[self.nearest]]
        return np.maximum(1 - taken, LEAST) * self.steps.level[genes]


@dataclass(frozen=True, eq=False)
class SpotSteps:
    r"""By what share cells inside the spots of a section stand out in a prediction, more than tissue does.

    Networks overfit the discs they were trained on, so a prediction has steps at the edges of
    spots, which nothing in the tissue explains: a lattice of spots is printed without regard to it. Two things are taken
    out, gene by gene: the mean step of all spots, and of each spot's own step what makes steps larger than at the edges
    of a displaced lattice,

    .. math:: d_{sg} \to (d_{sg} - \bar d_g) / I_g, \quad
       I_g^2 = \max(1, \overline{(d_{sg} - \bar d_g)^2} / \overline{d_{sg}^2}_\text{displaced}).

    So :func:`stsr.metrics.lattice_imprint` of what is left is about 1. A gene's total over all spots is kept.

    Parameters
    ----------
    spots
        Tree of the centres of the spots, in µm.
    radius, softness
        Of a spot, and standard deviation of the Gaussian that softens its edge, in µm.
    row
        (spots,) the row of ``share`` that holds for each spot.
    share
        (rows, genes) share of what is predicted inside a spot that is taken out: of each spot whose edge can be looked at,
        and last, of all others.
    covered
        (spots,) how far the cells of a spot are inside it, in the mean.
    level
        (genes,) factor that keeps the totals.
    """

    spots: cKDTree
    radius: float
    softness: float
    row: NDArray[np.int64]
    share: NDArray[np.float32]
    covered: NDArray[np.float32]
    level: NDArray[np.float32]

    @classmethod
    def estimate(
        cls,
        section: Section,
        field: ResidualField,
        edges: Edges,
        *,
        softness: float,
        predicted: NDArray[np.float32],
        steps: NDArray[np.float32],
        elsewhere: NDArray[np.float32],
    ) -> Self:
        """Learn from what is predicted before ``field`` corrects it.

        Parameters
        ----------
        section, field, edges
            The section, what corrects the prediction, and where it is looked at.
        softness
            Standard deviation in µm of the blur of predictions.
        predicted
            (spots, genes) sums under spots.
        steps, elsewhere
            (seen spots, genes) and (places, genes) steps at the edges of spots, and of displaced ones.
        """
        grid, seen = section.grid, edges.seen
        softness = max(softness, grid.bin_size / 4)
        spots, genes = predicted.shape
        nothing = np.zeros((1, genes), np.float32), np.zeros(spots, np.float32), np.ones(genes, np.float32)
        found = cls(cKDTree(section.spots), equal_diameter(section) / 2, softness, np.zeros(spots, np.int64), *nothing)
        if len(seen) < FEWEST or not len(elsewhere):
            return found
        area = np.maximum(section.footprint.sum(axis=1), 1e-6)
        density = predicted[seen] / area[seen, None]
        density += FLOOR * density.mean(axis=0) + TINY
        signal = disc_sums(
            section, edges.true, len(field.loadings), lambda rows: field.at(grid.xy[grid.cells(rows)]).values
        )
        relative = steps / density + signal @ field.loadings
        usual = certain_mean(relative, density)
        own = relative - usual
        excess = 1 - 1 / larger(own * density, elsewhere)
        inside = found.place(grid.xy)[1]
        whole = np.median(edges.true @ inside)
        share = np.vstack([usual + excess * np.clip(own, -LARGEST, LARGEST), usual]) / whole
        row = np.full(spots, len(seen))
        row[seen] = np.arange(len(seen))
        found = replace(found, row=row, share=single(share), covered=single(section.footprint @ inside / area))
        before = after = np.zeros(genes)
        for some in batches(np.flatnonzero(whole_spots(section))):
            sums = predicted[some] * field.at(section.spots[some]).factor()
            before, after = before + sums.sum(axis=0), after + (sums * found.under(some)).sum(axis=0)
        return replace(found, level=single((before + TOTAL) / (after + TOTAL)))

    def under(self, spots: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, genes) what the sums under some spots (n,) are multiplied by."""
        return np.maximum(1 - self.covered[spots, None] * self.share[self.row[spots]], LEAST) * self.level

    def place(self, xy: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(cells,) nearest spots of places (cells, 2) in µm, and how far these are inside them."""
        if not self.spots.n:
            return np.zeros(len(xy), dtype=np.int64), np.zeros(len(xy), dtype=np.float32)
        distance, nearest = self.spots.query(xy)
        return nearest, norm.cdf((self.radius - distance) / self.softness).astype(np.float32)

    def at(self, xy: NDArray[np.float64]) -> CellSteps:
        """What is taken out of cells at (cells, 2) places in µm."""
        return CellSteps(self, *self.place(xy))


def equal_diameter(section: Section) -> float:
    """µm across a disc that covers as much as a spot."""
    return float(2 * np.sqrt(section.aperture.area / np.pi))


def certain_mean(values: NDArray[np.floating], weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """(genes,) weighted means of (spots, genes) values, drawn to 0 as far as they may be chance (James & Stein 1961)."""
    total = weights.sum(axis=0)
    mean = (values * weights).sum(axis=0) / total
    error = np.square((values - mean) * weights).sum(axis=0) / total**2
    return mean * np.maximum(1 - error / np.maximum(mean**2, 1e-12), 0)


def larger(steps: NDArray[np.floating], elsewhere: NDArray[np.floating]) -> NDArray[np.float64]:
    """(genes,) how many times (spots, genes) steps are as large as (places, genes) others, 1 at least.

    Genes are drawn to their geometric mean as far as two halves of the spots do not agree about them: their correlation,
    stepped up to all spots (Spearman 1910, Brown 1910), is the share of the difference that is kept.
    """
    whole, first, second = (log_ratio(part, elsewhere) for part in (steps, steps[::2], steps[1::2]))
    agree = np.cov(first, second) if len(whole) > 1 else np.zeros((2, 2))
    shared = max(agree[0, 1], 0) / max(np.sqrt(agree[0, 0] * agree[1, 1]), 1e-12)
    mean = whole.mean()
    return np.maximum(np.exp(mean + 2 * shared / (1 + shared) * (whole - mean)), 1)


def log_ratio(steps: NDArray[np.floating], elsewhere: NDArray[np.floating]) -> NDArray[np.float64]:
    """(genes,) logarithm of how many times the root mean square of steps is that of others; 0 where there are none."""
    ours, others = (np.square(values).mean(axis=0, dtype=np.float64) for values in (steps, elsewhere))
    known = (ours > 0) & (others > 0)
    return np.log(np.where(known, ours, 1) / np.where(known, others, 1)) / 2


def batches(spots: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Spots (n,), some at a time: where bins are spots there are hundreds of thousands."""
    return np.split(spots, range(BATCH, len(spots), BATCH))
