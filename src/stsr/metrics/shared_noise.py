"""Whether two measurements of the same places share their counting noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.metrics._columns import whole_counts


def noise_ratio(spots: Any, sums: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Differences between counts of two measurements, as a multiple of those that counting alone makes.

    .. math::
        r_g = \frac{\sum_s (x_{sg} - k_g y_{sg})^2}{c_g \sum_s (x_{sg} + k_g^2 y_{sg})}, \qquad
        k_g = \frac{\sum_s x_{sg}}{\sum_s y_{sg}}

    for counts :math:`x` of spots and :math:`y` of the same places measured again, :math:`n = x + y` in all. The factor

    .. math:: c_g = \frac{N_g - \sum_s n_{sg}^2 / N_g}{N_g - 1}, \qquad N_g = \sum_s n_{sg}

    is what fitting :math:`k` takes off; it is nearly 1 for many spots. Independent Poisson counts of the same rates have
    an expectation of exactly 1: given the :math:`n` and the sum of :math:`x`, the counts :math:`x` are hypergeometric.
    Real differences only add to it. Below 1 it falls when both counted some of the same molecules: to 0 when :math:`x`
    is :math:`y`, and to about :math:`(1 - k) / (1 + k)` when :math:`x` is a share :math:`k` of :math:`y`.

    Parameters
    ----------
    spots
        (spots, genes) counts, an array or a sparse array.
    sums
        (spots, genes) counts of the other measurement, summed over what each spot covers.

    Returns
    -------
    ratio, error
        (genes,) ratios, and the standard error that each has about 1 where counts are independent:
        :math:`\sqrt{2 \sum_s n_s^2} / N`, slightly too large for few counts. NaN where either has no counts or one spot
        has all.

    Raises
    ------
    ValueError
        When the two differ in shape, or are not whole numbers from 0 up.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> rng = np.random.default_rng(0)
    >>> sums, again = rng.poisson(20, (2, 1000, 1))
    >>> kept = rng.binomial(sums, 0.5)
    >>> [round(float(stsr.metrics.noise_ratio(spots, sums)[0][0]), 1) for spots in (sums, kept, again)]
    [0.0, 0.3, 1.0]
    """
    first, second = _counts(spots, "spots"), _counts(sums, "sums")
    if first.shape != second.shape:
        raise ValueError(f"spots {first.shape} and sums {second.shape} must be (spots, genes), with the same of both.")
    x, y = _total(first), _total(second)
    both, squares = x + y, _total((first + second).power(2))
    with np.errstate(divide="ignore", invalid="ignore"):
        k = np.where((x > 0) & (y > 0), x / y, np.nan)
        differences = _total(first.power(2)) - 2 * k * _total(first * second) + k**2 * _total(second.power(2))
        fitted = (both - squares / both) / (both - 1)
        ratio = np.where(fitted > 0, differences / ((x + k**2 * y) * fitted), np.nan)
        return ratio, np.where(np.isnan(ratio), np.nan, np.sqrt(2 * squares) / both)


def _counts(values: Any, name: str) -> sp.csc_array:
    matrix = sp.csc_array(values, dtype=np.float64)
    whole_counts(matrix.data, name)
    return matrix


def _total(matrix: sp.csc_array) -> NDArray[np.float64]:
    """(genes,) sums over spots."""
    return np.asarray(matrix.sum(axis=0), dtype=np.float64).ravel()
