"""Errors of a prediction, in the unit of the values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.metrics._columns import pair, span


def mse(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    r"""Mean squared difference, of the values as they are.

    .. math:: \mathrm{MSE}_g = \frac{1}{n} \sum_b (y_{bg} - \hat y_{bg})^2

    :func:`rmse` is not its root: that one scales both to 0 to 1 before.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values.

    Returns
    -------
    (genes,) differences, in the square of the values' unit.

    Raises
    ------
    ValueError
        When the two differ in shape.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.mse([[1], [2]], [[1], [4]])
    array([2.])
    """
    truth, prediction = pair(truth, prediction)
    return ((truth - prediction) ** 2).mean(axis=0, dtype=np.float64)


def mae(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    r"""Mean absolute difference, of the values as they are.

    .. math:: \mathrm{MAE}_g = \frac{1}{n} \sum_b |y_{bg} - \hat y_{bg}|

    It is smallest for the median. Most cells of most genes hold no count, so a prediction of 0 everywhere is hard to
    beat.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values.

    Returns
    -------
    (genes,) differences, in the values' unit.

    Raises
    ------
    ValueError
        When the two differ in shape.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.mae([[1], [2]], [[1], [4]])
    array([1.])
    """
    truth, prediction = pair(truth, prediction)
    return np.abs(truth - prediction).mean(axis=0, dtype=np.float64)


def nrmse(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    r"""Root mean squared difference as a share of the truth's range.

    .. math:: \mathrm{NRMSE}_g = \frac{\sqrt{\mathrm{MSE}_g}}{\max_b y_{bg} - \min_b y_{bg}}

    This is the convention of [1]_. Unlike :func:`rmse` it leaves the prediction's scale alone, so a prediction that is
    twice too large has a larger error.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values.

    Returns
    -------
    (genes,) shares; NaN where the truth of a gene is constant.

    Raises
    ------
    ValueError
        When the two differ in shape.

    References
    ----------
    .. [1] Wang et al. (2025), Benchmarking the translational potential of spatial gene expression prediction from
       histology. Nature Communications 16:1544, table 2.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.nrmse([[0], [2], [4]], [[1], [3], [5]])
    array([0.25])
    """
    return np.sqrt(mse(truth, prediction)) / span(pair(truth, prediction)[0])
