"""What every score does with its two matrices first."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pair(truth: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Both as (cells, genes) floating-point arrays; float32 stays float32."""
    first, second = (_floating(np.asarray(values)) for values in (truth, prediction))
    if first.ndim != 2 or first.shape != second.shape or len(first) == 0:
        raise ValueError(
            f"truth {first.shape} and prediction {second.shape} must both be (cells, genes), with the same cells and genes."
        )
    return first, second


def _floating(values: NDArray) -> NDArray[np.floating]:
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)


def constant(values: NDArray) -> NDArray[np.bool_]:
    """(genes,) whether all cells of a gene have one value."""
    return (values == values[0]).all(axis=0)


def to_unit_range(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scale each gene to 0 at its smallest and 1 at its largest value; NaN for a constant gene."""
    low, high = values.min(axis=0), values.max(axis=0)
    span = np.where(high > low, high - low, np.nan).astype(values.dtype)
    return (values - low) / span
