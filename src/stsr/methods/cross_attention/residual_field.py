"""What spots measured beyond what was predicted, as far as it is signal: it corrects the cells around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, cg
from scipy.spatial import cKDTree

from stsr.methods.shared.requirements import whole_spots
from stsr.section import Section

COMPONENTS = 20
"""Directions of expression, at most."""

EXTRA_COUNTS = 0.3
"""Counts that are added to both sides of a log ratio, beside the gene's mean count in a spot."""

LEAST_SHARE = 0.3
"""Share of a ratio's logarithm that is taken to be left of it, at least: of genes that are hardly counted it is near 0, and
their noise would be enlarged."""

TOTAL = 5.0
"""Counts that are added to both totals of a gene."""

RANGES = (1.2, 1.5, 2.0, 3.0, 4.0)
"""Ranges of the correlation that a section chooses from, in pitches of the spots; of efficiencies, the longest."""

MISSED = 0.1
"""Standard deviation of the log ratio of all genes together that tissue itself has in a spot: on the kidney, all of whose
molecules are counted, so much is missed by the prediction. What spots differ by beyond that is their efficiency."""

NEXT = 1.2
"""Pitches within which spots are neighbours."""

LEAST = 0.1
"""Share of the mean noise that every spot has: where next to nothing is predicted, little is known."""

PRECISION = 1e-4
"""Relative, of the linear systems."""


@dataclass(frozen=True, eq=False)
class Signal:
    """The correction of some cells by a residual field.

    Parameters
    ----------
    field
        The field.
    values
        (cells, components) signal.
    known
        (cells, spots) share of its variance that the counts of the nearest spot lessen.
    """

    field: ResidualField
    values: NDArray[np.float32]
    known: sp.csr_array

    def factor(self, genes: slice = slice(None)) -> NDArray[np.float32]:
        """(cells, genes) what predictions are multiplied by, for some genes."""
        ratio = self.values @ self.field.loadings[:, genes]
        np.exp(ratio, out=ratio)
        ratio *= self.field.level[genes]
        return ratio


@dataclass(frozen=True, eq=False)
class ResidualField:
    r"""A Gaussian process of log ratios of measured to predicted counts, in a few directions of expression.

    The log ratio of a gene in a spot is the sum of three parts:

    - **efficiency**, shared by all genes of the spot and by no other spot: a spot catches more or less of what is there;
    - **signal**, in directions of expression that many genes share: the spot holds more or less of a cell type than was
      predicted. It is correlated between neighbouring places;
    - **counting noise**, whose variance is known from the predicted counts.

    Cells are corrected by what is expected of the signal, given all spots: kriging with noise of known variance
    (Matheron 1963). So the cells under a spot do not add up to exactly what it measured, nor should they: the rest is
    noise of that spot. A gene's total over all spots is kept.

    Parameters
    ----------
    spots
        Tree of the centres, in µm, of the spots that lie on cells as a whole.
    index
        Which of the section's spots they are, and how many these are.
    reach
        Distance in µm at which the correlation ends.
    weights
        (spots, components) of the signal: the correlations of a place with the spots, times these, is its signal.
    loadings
        (components, genes) log ratios that each component stands for.
    level
        (genes,) factor that keeps the totals.
    """

    spots: cKDTree
    index: tuple[NDArray[np.int64], int]
    reach: float
    weights: NDArray[np.float32]
    loadings: NDArray[np.float32]
    level: NDArray[np.float32]

    @classmethod
    def estimate(cls, section: Section, pitch: float, predicted: NDArray[np.float32]) -> Self:
        """Learn from the spots of a section, ``pitch`` µm apart, and the (spots, genes) counts predicted for them."""
        used = np.flatnonzero(whole_spots(section))
        if not len(used):
            return cls.nothing(section)
        spots = cKDTree(section.spots[used])
        measured, predicted = section.counts[used].toarray(), predicted[used]
        level = total_ratio(measured, predicted)
        predicted = predicted * single(level)
        own = single(efficiency(measured, predicted, spots, pitch))
        ratio, noise, left = log_ratios(measured, predicted * np.exp(own)[:, None])
        ratio -= ratio.mean(axis=0)

        importance = np.sqrt(measured.mean(axis=0) + np.float32(1e-6))
        ratio *= importance
        noise *= importance**2
        scores, variance, error, directions = leading(ratio, noise)
        reach = correlation_range(scores, variance, spots, pitch)
        correlated = correlation(spots, spots, reach)
        solved = [own * solve(correlated, own, error[:, k], scores[:, k]) for k, own in enumerate(variance.tolist())]
        weights = np.column_stack([*solved, np.zeros((len(used), 0))])
        loadings = (directions / (importance * left)[:, None]).T
        corrected = predicted * np.exp(single(correlated @ weights) @ single(loadings))
        level = level * total_ratio(measured, corrected)
        return cls(spots, (used, len(section.spots)), reach, single(weights), single(loadings), single(level))

    @classmethod
    def nothing(cls, section: Section) -> Self:
        """That of a section no spot of which lies on cells."""
        none, genes = np.zeros(0, dtype=np.int64), len(section.genes)
        empty = np.zeros((0, 0), dtype=np.float32)
        level = np.ones(genes, dtype=np.float32)
        return cls(
            cKDTree(np.zeros((0, 2))),
            (none, len(section.spots)),
            1.0,
            empty,
            np.zeros((0, genes), dtype=np.float32),
            level,
        )

    def at(self, xy: NDArray[np.float64]) -> Signal:
        """What is expected of the signal at (cells, 2) places in µm."""
        near = correlation(cKDTree(xy), self.spots, self.reach)
        used, n_spots = self.index
        known = sp.csr_array((len(xy), n_spots), dtype=np.float32)
        if self.spots.n:
            distance, nearest = self.spots.query(xy)
            share = wendland(np.minimum(distance / self.reach, 1)).astype(np.float32) ** 2
            known = sp.csr_array((share, used[nearest], np.arange(len(xy) + 1)), shape=(len(xy), n_spots))
        return Signal(self, (near @ self.weights).astype(np.float32), known)


def single(array: NDArray[np.floating]) -> NDArray[np.float32]:
    """In single precision."""
    return array.astype(np.float32)


def total_ratio(measured: NDArray[np.floating], predicted: NDArray[np.floating]) -> NDArray[np.float64]:
    """(genes,) ratio of the totals over spots, drawn to 1 where there are few counts."""
    totals = (counts.sum(axis=0, dtype=np.float64) + TOTAL for counts in (measured, predicted))
    return np.divide(*totals)


def log_ratios(
    measured: NDArray[np.float32], predicted: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(spots, genes) logarithms of measured over predicted counts, and their variances by counting noise.

    A gene's mean count is added to both: the logarithm of a few counts is hardly normal. That draws ratios to 0; the third
    array, (genes,), is the share of a small one that is left on average.
    """
    extra = measured.mean(axis=0) + np.float32(EXTRA_COUNTS)
    share = predicted / (predicted + extra)
    left = np.maximum(share.mean(axis=0), LEAST_SHARE)
    return np.log((measured + extra) / (predicted + extra)), share / (predicted + extra), left


def efficiency(
    measured: NDArray[np.float32], predicted: NDArray[np.floating], spots: cKDTree, pitch: float
) -> NDArray[np.float64]:
    """(spots,) log ratio of all genes together that is a spot's own, and not the tissue's: not shared by the spots around.

    Genes count by the root of their mean, so that no few abundant ones rule.
    """
    weight = 1 / np.sqrt(measured.mean(axis=0, dtype=np.float64) + EXTRA_COUNTS)
    expected = predicted @ weight + 1
    ratio = np.log((measured @ weight + 1) / expected)
    ratio -= ratio.mean()
    noise = predicted @ weight**2 / expected**2
    shared = max(neighbour_covariance(ratio[:, None], spots, pitch)[0], 0)
    own = max(ratio.var() - noise.mean() - shared, 0)
    correlated = correlation(spots, spots, RANGES[-1] * pitch)
    around = shared * (correlated @ solve(correlated, shared, own + noise, ratio)) if shared else 0
    return (ratio - around) * (1 - min(1, MISSED**2 / max(own, 1e-12)))


def leading(
    x: NDArray[np.floating], noise: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Principal components of (spots, genes) values with noise of known variance, as far as they are more than noise.

    The variance of components that were found in noisy data is too large, and those of noise alone have some too: both are
    put right by what is known of the eigenvalues of large noise matrices (Marchenko & Pastur 1967; Baik & Silverstein 2006).

    Returns
    -------
    (spots, components) scores, (components,) variances of their signal, (spots, components) variances of their noise, and
    (genes, components) directions.
    """
    from sklearn.utils.extmath import randomized_svd

    _, size, rows = randomized_svd(x, min(COMPONENTS, *x.shape), random_state=0)
    values, directions = size.astype(np.float64) ** 2 / len(x), rows.T
    error = (noise @ directions**2).astype(np.float64)
    usual, shape = np.maximum(error.mean(axis=0), 1e-12), x.shape[1] / len(x)
    error = np.maximum(error, LEAST * usual)
    seen = values / usual
    kept = seen > (1 + np.sqrt(shape)) ** 2
    middle = seen[kept] + 1 - shape
    true = (middle + np.sqrt(np.maximum(middle**2 - 4 * seen[kept], 0))) / 2
    directions = directions[:, kept]
    return (x @ directions).astype(np.float64), (true - 1) * usual[kept], error[:, kept], directions


def correlation_range(
    scores: NDArray[np.float64], variance: NDArray[np.float64], spots: cKDTree, pitch: float
) -> float:
    """Range in µm that gives neighbouring spots the correlation they have."""
    correlated = neighbour_covariance(scores, spots, pitch).sum() / max(variance.sum(), 1e-12)
    expected = wendland(1 / np.array(RANGES))
    return float(RANGES[np.abs(expected - correlated).argmin()] * pitch)


def neighbour_covariance(values: NDArray[np.float64], spots: cKDTree, pitch: float) -> NDArray[np.float64]:
    """(components,) covariance of (spots, components) values, of mean 0, between neighbouring spots; 0 without any."""
    first, second = spots.query_pairs(NEXT * pitch, output_type="ndarray").T
    return (values[first] * values[second]).mean(axis=0) if len(first) else np.zeros(values.shape[1])


def correlation(places: cKDTree, spots: cKDTree, reach: float) -> sp.csr_array:
    """(places, spots) correlation of the field, which ends at ``reach`` µm."""
    near = places.sparse_distance_matrix(spots, reach, output_type="coo_matrix")
    return sp.csr_array((wendland(near.data / reach), (near.row, near.col)), shape=near.shape)


def wendland(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth correlation that is 0 from a distance of 1 on, and one in the plane (Wendland 1995, φ of 3 and 1).

    Examples
    --------
    >>> wendland(np.array([0.0, 0.5, 1.0])).tolist()
    [1.0, 0.1875, 0.0]
    """
    return np.maximum(1 - distance, 0) ** 4 * (4 * distance + 1)


def solve(
    correlated: sp.csr_array, variance: float, noise: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(spots,) solution of (variance K + N) x = values, K being the correlations and N the variances of the noise."""
    whole = variance + noise

    def covariance(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return variance * (correlated @ x) + noise * x

    operator = LinearOperator(correlated.shape, matvec=covariance)
    guess = LinearOperator(correlated.shape, matvec=lambda x: x / whole)
    return cg(operator, values, rtol=PRECISION, M=guess)[0]
