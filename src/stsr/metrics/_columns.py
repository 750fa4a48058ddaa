"""Checks and statistics of (cells, genes) matrices that the scores share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def matrices(**named: ArrayLike) -> tuple[NDArray[np.floating], ...]:
    """Check and convert to (cells, genes) floating-point arrays of one shape; float32 stays float32."""
    arrays = tuple(_floating(np.asarray(values)) for values in named.values())
    first = arrays[0]
    if first.ndim != 2 or len(first) == 0 or any(other.shape != first.shape for other in arrays):
        shapes = " and ".join(f"{name} {array.shape}" for name, array in zip(named, arrays, strict=True))
        raise ValueError(f"{shapes} must be (cells, genes), with the same cells and genes.")
    return arrays


def pair(truth: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Truth and prediction as :func:`matrices`."""
    first, second = matrices(truth=truth, prediction=prediction)
    return first, second


def undefined(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.bool_]:
    """Genes whose truth or prediction cannot be correlated: one value in all cells, or a value that is no number.

    A mean over genes that leaves them out favours a method that predicts constants for hard genes: report their number
    with it.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values.

    Returns
    -------
    (genes,) whether :func:`pearson` and :func:`spearman` are NaN.

    Raises
    ------
    ValueError
        When the two differ in shape.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.undefined([[1, 5], [2, 5], [4, 6]], [[1, 1], [2, 1], [4, 1]])
    array([False,  True])
    """
    truth, prediction = pair(truth, prediction)
    return constant(truth) | constant(prediction) | unknown(truth, prediction)


def whole_counts(values: NDArray, name: str) -> NDArray[np.int64]:
    """The values as integers.

    Raises
    ------
    ValueError
        When they are not whole numbers from 0 up.
    """
    whole = values.astype(np.int64)
    if (whole != values).any() or (whole < 0).any():
        raise ValueError(f"{name} must be whole numbers from 0 up; pass raw UMI counts, before normalisation.")
    return whole


def constant(values: NDArray) -> NDArray[np.bool_]:
    """(genes,) whether all cells of a gene have one value."""
    return (values == values[0]).all(axis=0)


def unknown(truth: NDArray[np.floating], prediction: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(genes,) whether a value is not finite. Sorting would rank NaN as the largest."""
    return ~(np.isfinite(truth) & np.isfinite(prediction)).all(axis=0)


def centred(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Each gene less its mean."""
    return values - values.mean(axis=0, dtype=np.float64).astype(values.dtype)


def total(values: NDArray) -> NDArray[np.float64]:
    """(genes,) sums over cells, exact enough for many cells of float32."""
    return values.sum(axis=0, dtype=np.float64)


def to_unit_range(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scale each gene to 0 at its smallest and 1 at its largest value; NaN for a constant gene."""
    return (values - values.min(axis=0)) / span(values)


def span(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """(genes,) largest less smallest value; NaN for a constant gene."""
    low, high = values.min(axis=0), values.max(axis=0)
    return np.where(high > low, high - low, np.nan).astype(values.dtype)


def _floating(values: NDArray) -> NDArray[np.floating]:
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
