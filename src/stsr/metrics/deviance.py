"""How likely the true counts are under the prediction."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import kl_div

from stsr.metrics._columns import pair

FLOOR = 1e-4
"""Smallest expected count that a prediction is taken to mean: one UMI in 10,000 cells."""


def deviance(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    r"""Mean unit deviance of Poisson counts; the only score that also judges the scale of a prediction.

    .. math:: D_g = \frac{2}{n} \sum_b \left[ y_{bg} \log\frac{y_{bg}}{\mu_{bg}} - y_{bg} + \mu_{bg} \right],
              \qquad \mu_{bg} = \max(\hat y_{bg}, 10^{-4})

    0 is perfect [1]_. Without the floor, a count where none was expected would make it infinite.

    Parameters
    ----------
    truth
        (cells, genes) counts.
    prediction
        (cells, genes) expected counts.

    Returns
    -------
    (genes,) deviances.

    Raises
    ------
    ValueError
        When the two differ in shape.

    References
    ----------
    .. [1] McCullagh & Nelder (1989), Generalized Linear Models, 2nd ed., section 2.3.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.deviance([[2], [0]], [[2], [1]])
    array([1.])
    """
    truth, prediction = pair(truth, prediction)
    expected = np.maximum(prediction, np.asarray(FLOOR, dtype=prediction.dtype))
    return 2 * kl_div(truth, expected).mean(axis=0, dtype=np.float64)
