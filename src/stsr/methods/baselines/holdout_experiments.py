"""Trials: what members of a stack are fitted to, and the counts kept from them, as if measured between the spots.

A cell has its nearest spot between 0 and about 0.6 pitches away. No spot lies there to be hidden, but some lie at both
ends. At 0, a spot stays but a part of its UMIs is kept back (*thinning*: the two parts of a Poisson count are
independent). At one pitch, a spot is hidden with those around it left in place; in a hidden block, most would lie
further from any other than a cell ever does. In between, how well spots explain a place is taken to fall in a straight
line, so that both ends count by how near to them the cells are on average.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.methods.shared.requirements import whole_spots
from stsr.methods.shared.spot_cells import neighbours
from stsr.section import Section

KEPT_BACK = 0.2
"""Share of the UMIs kept back from a spot that is thinned."""

MOST = 5000
"""Spots that are asked for at most: more say nothing new about a few weights."""

AROUND = 19
"""Spots among which those of a fold keep apart: on a hexagonal lattice, all within two pitches."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One question to a method.

    Parameters
    ----------
    seen
        What it is fitted to.
    spots
        (n,) positions in the whole section of the spots that it is asked for.
    counts
        (n, genes) what it should expect there, had it been right.
    weight
        What an answer is worth.
    """

    seen: Section
    spots: NDArray[np.int64]
    counts: NDArray[np.float32]
    weight: float


def trials(section: Section, folds: int, rng: np.random.Generator) -> Iterator[Trial]:
    """One trial with thinned spots, and one for each fold of hidden spots."""
    fold, distance = scattered(section, folds, rng), mean_distance(section)
    asked = np.flatnonzero(fold >= 0)
    seen, kept_back = thinned(section, rng)
    times = (1 - KEPT_BACK) / KEPT_BACK
    yield Trial(seen, asked, times * kept_back[asked].toarray(), (1 - distance) / (1 - KEPT_BACK))
    for part in range(folds):
        hidden = np.flatnonzero(fold == part)
        yield Trial(section.subset(fold != part), hidden, section.counts[hidden].toarray(), distance)


def mean_distance(section: Section) -> float:
    """Mean distance of a cell to the nearest spot, in pitches and at most 1."""
    distance, _ = cKDTree(section.spots).query(section.grid.xy)
    return float(min(distance.mean() / section.pitch, 1))


def thinned(section: Section, rng: np.random.Generator) -> tuple[Section, sp.csr_array]:
    """The section without a random part of its UMIs, and that part, (spots, genes)."""
    counts = section.counts.copy()
    # Counts of joined sections have fractions, which are rounded at random.
    counts.data = np.floor(counts.data + rng.random(len(counts.data))).astype(np.int64)
    kept_back = counts.copy()
    kept_back.data = rng.binomial(counts.data, KEPT_BACK)
    others = np.maximum(np.rint(section.library) - counts.sum(axis=1), 0).astype(np.int64)
    seen = counts - kept_back
    library = seen.sum(axis=1) + rng.binomial(others, 1 - KEPT_BACK)
    return (
        replace(section, counts=seen.astype(np.float32), library=library.astype(np.float64)),
        kept_back.astype(np.float32),
    )


def scattered(section: Section, folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(spots,) fold in which a spot is hidden, -1 for never: folds of equal size, their spots as far apart as can be.

    One after the other, spots join the fold of which the nearest spot is farthest.
    """
    near = neighbours(cKDTree(section.spots), AROUND - 1, hide_self=True)
    order = rng.permutation(np.flatnonzero(whole_spots(section)))[:MOST]
    fold, size = np.full(len(section.spots), -1), np.zeros(folds, dtype=np.int64)
    for spot in order:
        same = fold[near[spot]] == np.arange(folds)[:, None]
        rank = np.where(same.any(axis=1), same.argmax(axis=1), near.shape[1])
        rank[size == -(-len(order) // folds)] = -1
        fold[spot] = np.lexsort([size, -rank])[0]
        size[fold[spot]] += 1
    return fold
