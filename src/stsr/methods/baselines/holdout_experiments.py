"""Hold-out experiments, from whose held-out counts the weights of a stack are estimated.

The nearest spot of a cell is between 0 and about 0.6 pitches away. No spot can be hidden at such a distance, so two kinds
of experiments bracket it. At distance 0, binomial *thinning* holds out a part of the UMIs of every spot; the two parts of
a Poisson count are independent. At a distance of one pitch, single spots are hidden and those around them stay; in hidden
blocks, most spots would be further from the next than any cell is. Prediction is assumed to worsen linearly with the
distance d in pitches, so thinning has the loss weight 1 - d and hiding has d, with d the mean over cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.methods.shared.neighbours import nearest_spots, neighbours
from stsr.methods.shared.requirements import whole_spots
from stsr.section import Section

THINNED_SHARE = 0.2
"""Share of the UMIs that thinning holds out."""

MOST_SPOTS = 5000
"""Largest number of spots with held-out counts: a few weights need no more."""

NEIGHBOURHOOD = 19
"""Spots, itself included, among which a spot avoids others of its fold: all within two pitches on a hexagonal lattice."""


@dataclass(frozen=True, eq=False)
class HoldoutExperiment:
    """A section without some of its counts, and these counts.

    Parameters
    ----------
    visible
        The section that methods are fitted to.
    spots
        (n,) indices in the whole section of the spots with held-out counts.
    counts
        (n, genes) held-out counts, scaled to what a method fitted to ``visible`` should predict.
    weight
        Loss weight.
    """

    visible: Section
    spots: NDArray[np.int64]
    counts: NDArray[np.float32]
    weight: float


def holdout_experiments(section: Section, folds: int, rng: np.random.Generator) -> Iterator[HoldoutExperiment]:
    """One experiment with thinned spots, and one for each fold of hidden spots."""
    fold, distance = scattered_folds(section, folds, rng), mean_distance(section)
    spots = np.flatnonzero(fold >= 0)
    visible, held_out = thinned(section, rng)
    # Methods predict the visible share 1 - t of the counts from the held-out share t: those are scaled by (1 - t) / t, and
    # the weight is divided by 1 - t, so that all UMIs of a spot count as when it is hidden.
    to_visible = (1 - THINNED_SHARE) / THINNED_SHARE
    yield HoldoutExperiment(
        visible, spots, to_visible * held_out[spots].toarray(), (1 - distance) / (1 - THINNED_SHARE)
    )
    for part in range(folds):
        hidden = np.flatnonzero(fold == part)
        yield HoldoutExperiment(section.subset(fold != part), hidden, section.counts[hidden].toarray(), distance)


def mean_distance(section: Section) -> float:
    """Mean distance of a cell to the nearest spot, in pitches and at most 1."""
    distance, _ = nearest_spots(cKDTree(section.spots), section.grid.xy, 1)
    return float(min(distance.mean() / section.pitch, 1))


def thinned(section: Section, rng: np.random.Generator) -> tuple[Section, sp.csr_array]:
    """Binomial thinning: the section without a random part of its UMIs, and that part, (spots, genes)."""
    counts = section.counts.copy()
    # Counts of joined sections can be fractions: floor(y + u), u uniform in [0, 1), rounds without bias (E = y).
    counts.data = np.floor(counts.data + rng.random(len(counts.data))).astype(np.int64)
    held_out = counts.copy()
    held_out.data = rng.binomial(counts.data, THINNED_SHARE)
    others = np.maximum(np.rint(section.library) - counts.sum(axis=1), 0).astype(np.int64)
    visible = counts - held_out
    library = visible.sum(axis=1) + rng.binomial(others, 1 - THINNED_SHARE)
    return (
        replace(section, counts=visible.astype(np.float32), library=library.astype(np.float64)),
        held_out.astype(np.float32),
    )


def scattered_folds(section: Section, folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(spots,) fold in which a spot is hidden, -1 for never: folds of equal size whose spots are far apart.

    Greedy: spots in random order join the fold whose nearest spot is farthest; of equal ones, the smallest fold.
    """
    near = neighbours(cKDTree(section.spots), NEIGHBOURHOOD - 1, hide_self=True)
    order = rng.permutation(np.flatnonzero(whole_spots(section)))[:MOST_SPOTS]
    fold, size = np.full(len(section.spots), -1), np.zeros(folds, dtype=np.int64)
    for spot in order:
        same = fold[near[spot]] == np.arange(folds)[:, None]
        rank = np.where(same.any(axis=1), same.argmax(axis=1), near.shape[1])
        rank[size == -(-len(order) // folds)] = -1
        fold[spot] = np.lexsort([size, -rank])[0]
        size[fold[spot]] += 1
    return fold
