"""Divergence of the spatial distributions of a gene in truth and prediction."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import kl_div

from stsr.metrics._columns import pair, total


def jensen_shannon(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    r"""Jensen-Shannon divergence, to base 2, of the shares of a gene's counts in each cell.

    .. math:: J_g = \tfrac12 \sum_b \left[ p_{bg} \log_2 \frac{p_{bg}}{m_{bg}}
              + q_{bg} \log_2 \frac{q_{bg}}{m_{bg}} \right], \qquad m_{bg} = \tfrac12 (p_{bg} + q_{bg})

    with p the truth and q the prediction, each divided by its sum over cells [1]_. Its root is a distance.

    Sparse counts diverge from any smooth map, even from their own expectation: compare methods on the same truth, not
    genes or scales.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values from 0 up.

    Returns
    -------
    (genes,) divergences from 0, the same map up to scale, to 1, no cell in common; NaN where the truth or the prediction
    of a gene is 0 everywhere.

    Raises
    ------
    ValueError
        When the two differ in shape, or one has values below 0.

    References
    ----------
    .. [1] Lin (1991), Divergence measures based on the Shannon entropy. IEEE Transactions on Information Theory
       37:145-151.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.jensen_shannon([[1, 1], [2, 0]], [[10, 0], [20, 1]])
    array([0., 1.])
    """
    truth, prediction = pair(truth, prediction)
    p, q = _shares(truth, "truth"), _shares(prediction, "prediction")
    middle = (p + q) / 2
    # kl_div adds middle - p to each term, which keeps it from falling below 0; these sum to 0
    return (total(kl_div(p, middle)) + total(kl_div(q, middle))) / (2 * np.log(2))


def _shares(values: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """Each gene divided by its sum, NaN where that is 0."""
    if (low := values.min(initial=0)) < 0:
        raise ValueError(f"{name} has values below 0, down to {low:.3g}; shares need counts or expected counts.")
    whole = total(values)
    return values / np.where(whole > 0, whole, np.nan)
