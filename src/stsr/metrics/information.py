"""Mutual information of prediction and truth, for relations of any shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

from stsr.metrics._columns import pair, unknown

ROUNDING = 1e-12
"""Largest rounding error of a sum, in nats."""


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
    information = [table_information(table) for table in count_tables(truth, prediction, bins)]
    return np.where(unknown(truth, prediction), np.nan, information)


def table_information(tables: NDArray) -> NDArray[np.float64]:
    """(...,) information of (..., bins, bins) tables of counts."""
    joint = tables / tables.sum(axis=(-2, -1), keepdims=True)
    apart = joint.sum(axis=-1, keepdims=True) * joint.sum(axis=-2, keepdims=True)
    return rel_entr(joint, apart).sum(axis=(-2, -1))


def count_tables(truth: NDArray[np.floating], prediction: NDArray[np.floating], bins: int) -> list[NDArray[np.int64]]:
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
