"""How likely the true counts are under the prediction."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import kl_div, xlogy

from stsr.metrics._columns import matrices, pair, total

FLOOR = 1e-4
"""Smallest expected count; lower predictions count as this: one UMI in 10,000 cells."""


def deviance(truth: ArrayLike, prediction: ArrayLike, *, dispersion: ArrayLike = 0.0) -> NDArray[np.float64]:
    r"""Mean unit deviance of Poisson or negative binomial counts, which also depends on the scale of a prediction.

    .. math:: D_g = \frac{2}{n} \sum_b \left[ y_{bg} \log\frac{y_{bg}}{\mu_{bg}} - y_{bg} + \mu_{bg} \right],
              \qquad \mu_{bg} = \max(\hat y_{bg}, 10^{-4})

    for Poisson counts; for those with variance :math:`\mu + \alpha_g \mu^2`, of dispersion :math:`\alpha_g`,

    .. math:: D_g = \frac{2}{n} \sum_b \left[ y_{bg} \log\frac{y_{bg}}{\mu_{bg}}
              - (y_{bg} + \alpha_g^{-1}) \log\frac{1 + \alpha_g y_{bg}}{1 + \alpha_g \mu_{bg}} \right].

    0 is perfect [1]_. Without the floor, a count where none was expected would make it infinite.

    Deviances are comparable only at the same dispersion: use one for all predictions of a truth.

    Parameters
    ----------
    truth
        (cells, genes) counts.
    prediction
        (cells, genes) expected counts.
    dispersion
        Dispersion of all genes, or (genes,) of each, for instance from :func:`moment_dispersion`; 0 is Poisson.

    Returns
    -------
    (genes,) deviances; NaN where the dispersion is.

    Raises
    ------
    ValueError
        When the two differ in shape, or ``dispersion`` is negative or not one value for each gene.

    References
    ----------
    .. [1] McCullagh & Nelder (1989), Generalized Linear Models, 2nd ed., section 2.3.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.deviance([[2], [0]], [[2], [1]])
    array([1.])
    >>> stsr.metrics.deviance([[2], [0]], [[2], [1]], dispersion=1.0).round(4)
    array([0.6931])
    """
    truth, prediction = pair(truth, prediction)
    expected = np.maximum(prediction, np.asarray(FLOOR, dtype=prediction.dtype))
    alphas = _per_gene(np.asarray(dispersion, dtype=np.float64), truth.shape[1])
    scores = 2 * kl_div(truth, expected).mean(axis=0, dtype=np.float64)
    for gene in np.flatnonzero(alphas != 0):
        scores[gene] = _negative_binomial(truth[:, gene], expected[:, gene], alphas[gene])
    return scores


def moment_dispersion(counts: ArrayLike, expected: ArrayLike) -> NDArray[np.float64]:
    r"""Dispersion of negative binomial counts about their expectation, by moments.

    .. math:: \alpha_g = \max\left(0, \frac{\sum_b (y_{bg} - \mu_{bg})^2 - \mu_{bg}}{\sum_b \mu_{bg}^2}\right)

    solves :math:`\sum_b (y_{bg} - \mu_{bg})^2 = \sum_b \mu_{bg} + \alpha_g \mu_{bg}^2`.

    About the mean of a gene it includes the pattern in the tissue and is an upper bound. About a prediction it includes the
    prediction's errors: to compare predictions by :func:`deviance`, use the dispersion about one of them for all.

    Parameters
    ----------
    counts
        (cells, genes) counts.
    expected
        (cells, genes) expected counts, or (genes,) their means.

    Returns
    -------
    (genes,) dispersions from 0, Poisson; NaN where nothing was expected.

    Raises
    ------
    ValueError
        When the two differ in shape.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(rng.gamma(2.0, 1.5, (100_000, 1)))  # mean 3, dispersion 1/2
    >>> stsr.metrics.moment_dispersion(counts, counts.mean(axis=0)).round(1)
    array([0.5])
    """
    if np.shape(expected) == np.shape(counts)[1:]:
        expected = np.broadcast_to(expected, np.shape(counts))
    y, mu = matrices(counts=counts, expected=expected)
    square = total(mu**2)
    return np.maximum(total((y - mu) ** 2 - mu), 0) / np.where(square > 0, square, np.nan)


def _per_gene(dispersion: NDArray[np.float64], n_genes: int) -> NDArray[np.float64]:
    if dispersion.shape not in ((), (n_genes,)):
        raise ValueError(f"dispersion {dispersion.shape} must be one number, or one for each of the {n_genes} genes.")
    if (dispersion < 0).any():
        raise ValueError(f"dispersion={dispersion.min():.3g} must be 0, which is Poisson, or more.")
    return np.broadcast_to(dispersion, n_genes)


def _negative_binomial(y: NDArray, mu: NDArray, alpha: np.float64) -> np.float64:
    """Mean unit deviance of one gene. log1p keeps the second term accurate when alpha is small."""
    y, mu = y.astype(np.float64), mu.astype(np.float64)
    units = xlogy(y, y / mu) - (y + 1 / alpha) * np.log1p(alpha * (y - mu) / (1 + alpha * mu))
    return 2 * units.mean()
