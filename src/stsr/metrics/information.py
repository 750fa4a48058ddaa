"""Mutual information of prediction and truth, for relations of any shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr
from scipy.stats import random_table

from stsr.metrics._columns import pair, unknown

ROUNDING = 1e-12
"""Largest rounding error of a sum, in nats."""


class InformationNull(NamedTuple):
    """Mutual information by chance, and how far the observed one exceeds it; (genes,) each."""

    mean: NDArray[np.float64]
    """Mean information over permutations, in nats: that expected by chance."""
    z: NDArray[np.float64]
    """Observed less mean, in standard deviations over permutations; NaN where these are all equal, as for a constant."""
    p: NDArray[np.float64]
    """Share of permutations, the observed order included, with at least the observed information."""


def mutual_information(truth: ArrayLike, prediction: ArrayLike, *, bins: int = 10) -> NDArray[np.float64]:
    r"""Mutual information of truth and prediction over cells, in nats.

    .. math:: I_g = \sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{i\cdot} p_{\cdot j}}

    where p is the share of cells in bin i of the truth and bin j of the prediction. A value's bin is its rank, from 0 to
    1, times ``bins``, rounded down; ties share their mean rank. So bins hold about equally many cells, as far as ties allow,
    and any increasing function of a prediction has the same score.

    With few cells it is biased upwards, by about (bins of the truth - 1)(bins of the prediction - 1) / 2n for n cells:
    subtract the mean of :func:`mutual_information_null` before comparing different numbers of cells.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values.
    bins
        Largest number of bins of a gene.

    Returns
    -------
    (genes,) information from 0 to log(bins); 0 where the truth or the prediction of a gene is constant, NaN where
    a value is no number.

    Raises
    ------
    ValueError
        When the two differ in shape, or ``bins`` is below 2.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.mutual_information([[0], [0], [1], [1]], [[5], [5], [7], [7]]).round(3)  # one bit
    array([0.693])
    """
    truth, prediction = pair(truth, prediction)
    information = [_information(table) for table in _tables(truth, prediction, bins)]
    return np.where(unknown(truth, prediction), np.nan, information)


def mutual_information_null(
    truth: ArrayLike, prediction: ArrayLike, *, bins: int = 10, n_permutations: int = 1000, seed: int = 0
) -> InformationNull:
    """The mutual information that a prediction shares with the truth when its cells are permuted.

    Permuting cells keeps the number of cells in each bin: the joint table is a random one with fixed margins. These tables
    are drawn directly [1]_, so that the cost does not depend on the number of cells.

    Cells are taken as exchangeable. Neighbours in tissue are not: two unrelated smooth maps also have a
    small p. It shows that there is more than noise, not that the prediction has this gene's pattern.

    Parameters
    ----------
    truth, prediction, bins
        As in :func:`mutual_information`.
    n_permutations
        Permutations of each gene.
    seed
        Seed of the permutations. It is used anew for each gene, so that genes do not depend on one another.

    Returns
    -------
    ``mean``, ``z`` and ``p`` of each gene, the last never 0 [2]_.

    Raises
    ------
    ValueError
        When the two differ in shape, or ``bins`` or ``n_permutations`` is below 2.

    References
    ----------
    .. [1] Patefield (1981), Algorithm AS 159: an efficient method of generating random R x C tables with given row and
       column totals. Applied Statistics 30:91-97.
    .. [2] Phipson & Smyth (2010), Permutation p-values should never be zero. Statistical Applications in Genetics and
       Molecular Biology 9:39.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> truth = np.random.default_rng(0).poisson(2.0, (500, 1))
    >>> null = stsr.metrics.mutual_information_null(truth, truth)
    >>> null.p.round(3)
    array([0.001])
    """
    if n_permutations < 2:
        raise ValueError(f"n_permutations={n_permutations} must be 2 or more; 1000 is usual.")
    truth, prediction = pair(truth, prediction)
    tables = _tables(truth, prediction, bins)
    nulls = np.array([_null(table, n_permutations, np.random.default_rng(seed)) for table in tables]).reshape(-1, 3)
    return InformationNull(*np.where(unknown(truth, prediction), np.nan, nulls.T))


def _null(table: NDArray[np.int64], n_permutations: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean, z and p of one gene."""
    if 1 in table.shape:  # a constant has one such table only; scipy would draw others
        return 0.0, np.nan, 1.0
    observed = _information(table)
    drawn = _information(random_table.rvs(table.sum(axis=1), table.sum(axis=0), size=n_permutations, random_state=rng))
    mean, sd = drawn.mean(), drawn.std()
    z = (observed - mean) / sd if sd > ROUNDING else np.nan
    return mean, z, (1 + (drawn >= observed - ROUNDING).sum()) / (1 + n_permutations)


def _information(tables: NDArray) -> NDArray[np.float64]:
    """(...,) information of (..., bins, bins) tables of counts."""
    joint = tables / tables.sum(axis=(-2, -1), keepdims=True)
    apart = joint.sum(axis=-1, keepdims=True) * joint.sum(axis=-2, keepdims=True)
    return rel_entr(joint, apart).sum(axis=(-2, -1))


def _tables(truth: NDArray[np.floating], prediction: NDArray[np.floating], bins: int) -> list[NDArray[np.int64]]:
    """For each gene, the number of cells by bin of the truth and bin of the prediction."""
    if bins < 2:
        raise ValueError(f"bins={bins} must be 2 or more; 10 is usual.")
    tables = []
    for columns in zip(truth.T, prediction.T, strict=True):
        row, col = (_bin_of(np.ascontiguousarray(column), bins) for column in columns)
        shape = int(row.max()) + 1, int(col.max()) + 1
        tables.append(np.bincount(row * shape[1] + col, minlength=shape[0] * shape[1]).reshape(shape))
    return tables


def _bin_of(column: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    """(cells,) bin of each cell, numbered from 0 without gaps."""
    ordered = np.sort(column)
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))  # of each distinct value
    mean_rank = (first + np.append(first[1:], len(ordered))) / 2
    home = mean_rank * bins // len(ordered)
    lowest = ordered[first[np.append(True, home[1:] != home[:-1])]]  # of each bin
    return np.searchsorted(lowest, column, side="right") - 1
