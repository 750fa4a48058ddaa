r"""Calibration of predicted intervals: their coverage of the true counts, and their width.

Both scores take a prediction's mean and standard deviation as those of a negative binomial: for low counts, the interval
of a normal distribution would reach far below 0. Where the variance is no larger than the mean, it is Poisson.

An interval of whole counts cannot hold exactly 80 %: where 95 % of cells have no count, {0} alone holds too much. So a
count at an interval's end belongs to it in part. With F the distribution function, count k has the probabilities from
F(k - 1) to F(k), and belongs to the central interval by the share of these that lies within it. The expectation of this
share under the predicted distribution is exactly the level. It is the mean of the randomised interval over its random
numbers, so there is no seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import nbinom

from stsr.metrics._columns import matrices, whole_counts
from stsr.metrics.deviance import FLOOR

NEAREST_POISSON = 1 + 1e-6
"""Smallest ratio of variance to mean: a negative binomial with this one differs from Poisson by less than 1e-6."""


def coverage(truth: ArrayLike, mean: ArrayLike, sd: ArrayLike, *, level: float = 0.8) -> NDArray[np.float64]:
    r"""Share of the true counts inside their central predicted interval.

    .. math:: C_g = \frac{1}{n} \sum_b
              \frac{\left|[F_{bg}(y_{bg} - 1), F_{bg}(y_{bg})] \cap [\tfrac{1 - l}{2}, \tfrac{1 + l}{2}]\right|}
              {F_{bg}(y_{bg}) - F_{bg}(y_{bg} - 1)}

    for a level l, with F the distribution function of the negative binomial that has the predicted mean and standard
    deviation; Poisson where the variance is no larger than the mean. A count at the interval's end counts by the share of
    its probability that lies inside, so that correct predictions cover ``level`` however low the counts are. Intervals of
    whole counts would cover more. It is the share of randomised probability integral transforms in the interval, averaged
    over the randomness [1]_.

    Parameters
    ----------
    truth
        (cells, genes) counts.
    mean
        (cells, genes) expected counts.
    sd
        (cells, genes) standard deviation of the counts about them, counting noise included. Where only that of the
        expectation is known, s, it is :math:`\sqrt{s^2 + \text{mean}}`.
    level
        Probability of the interval.

    Returns
    -------
    (genes,) shares; ``level`` for correct predictions, less for overconfident ones.

    Raises
    ------
    ValueError
        When the three differ in shape, ``truth`` is not whole numbers from 0 up, or ``level`` is not between 0 and 1.

    References
    ----------
    .. [1] Czado, Gneiting & Held (2009), Predictive model assessment for count data. Biometrics 65:1254-1261.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> mean = np.full((100_000, 1), 0.05)
    >>> counts = np.random.default_rng(0).poisson(mean)
    >>> stsr.metrics.coverage(counts, mean, np.sqrt(mean)).round(2)
    array([0.8])
    """
    truth, mean, sd = matrices(truth=truth, mean=mean, sd=sd)
    counts, ends = whole_counts(truth, "truth"), _ends(level)
    return np.array([_membership(counts[:, g], _predicted(mean[:, g], sd[:, g]), ends).mean() for g in _genes(mean)])


def sharpness(mean: ArrayLike, sd: ArrayLike, *, level: float = 0.8) -> NDArray[np.float64]:
    r"""Mean number of counts in the central predicted interval: of two with equal coverage, lower is better.

    .. math:: S_g = \frac{1}{n} \sum_b Q_{bg}(\tfrac{1 + l}{2}) - Q_{bg}(\tfrac{1 - l}{2}), \qquad
              Q(u) = k - \tfrac12 + \frac{u - F(k - 1)}{F(k) - F(k - 1)},\ k = \min\{j : F(j) \ge u\}

    for a level l. Q is the quantile when a count k is spread evenly from k - 1/2 to k + 1/2; the interval is that of
    :func:`coverage`, and counts at its ends are counted by the share that belongs to it. Calibration comes first, then
    sharpness [1]_.

    Parameters
    ----------
    mean, sd, level
        As in :func:`coverage`.

    Returns
    -------
    (genes,) widths in counts.

    Raises
    ------
    ValueError
        When the two differ in shape, or ``level`` is not between 0 and 1.

    References
    ----------
    .. [1] Gneiting, Balabdaoui & Raftery (2007), Probabilistic forecasts, calibration and sharpness. Journal of the
       Royal Statistical Society B 69:243-268.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.sharpness([[100.0, 100.0]], [[10.0, 20.0]]).round(1)
    array([25.6, 51. ])
    """
    mean, sd = matrices(mean=mean, sd=sd)
    low, high = _ends(level)
    predicted = (_predicted(mean[:, g], sd[:, g]) for g in _genes(mean))
    return np.array([(_quantile(one, high) - _quantile(one, low)).mean() for one in predicted])


def sums_with_sd(
    shares: Any, mean: NDArray[np.floating], sd: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Sums over cells, such as those of a spot, with their standard deviation by the formula of :func:`stsr.tl.aggregate`.

    Counting is independent from cell to cell; errors of the rate are taken as the same for all cells of a sum.

    Parameters
    ----------
    shares
        (sums, cells) share of each cell in each sum, an array or a sparse array.
    mean, sd
        (cells, genes) expected counts, and standard deviation of the counts about them.

    Returns
    -------
    (sums, genes) expected counts, and the standard deviation of the counts about them.

    Examples
    --------
    >>> import numpy as np
    >>> cells = np.full((4, 1), 9.0)
    >>> mean, sd = sums_with_sd(np.ones((1, 4)), cells, np.sqrt(cells + 2.0**2))
    >>> mean.item(), round(sd.item(), 6)  # of variance 4 * 9 + (4 * 2)^2
    (36.0, 10.0)
    """
    sums = shares @ mean
    return sums, np.sqrt(sums + (shares @ np.sqrt(np.maximum(sd**2 - mean, 0))) ** 2)


def _ends(level: float) -> tuple[float, float]:
    """Probabilities at the ends of the central interval."""
    if not 0 < level < 1:
        raise ValueError(f"level={level} must be between 0 and 1; 0.8 and 0.95 are usual.")
    return (1 - level) / 2, (1 + level) / 2


def _genes(values: NDArray) -> range:
    return range(values.shape[1])


def _predicted(mean: NDArray[np.floating], sd: NDArray[np.floating]) -> Any:
    """Negative binomials with these moments, as scipy's distribution of (cells,)."""
    mean = np.maximum(mean.astype(np.float64), FLOOR)
    variance = np.maximum(sd.astype(np.float64) ** 2, NEAREST_POISSON * mean)
    return nbinom(mean**2 / (variance - mean), mean / variance)


def _membership(counts: NDArray[np.int64], predicted: Any, ends: tuple[float, float]) -> NDArray[np.float64]:
    """(cells,) share of a count's probability that lies between the ends; 0 for a count too rare to have any."""
    below, up_to = predicted.cdf(counts - 1), predicted.cdf(counts)
    inside = np.clip(up_to, *ends) - np.clip(below, *ends)
    return np.divide(inside, up_to - below, out=np.zeros_like(inside), where=up_to != below)


def _quantile(predicted: Any, probability: float) -> NDArray[np.float64]:
    """(cells,) quantile of counts spread evenly over one unit each."""
    count = predicted.ppf(probability)
    below, up_to = predicted.cdf(count - 1), predicted.cdf(count)
    return count - 0.5 + (probability - below) / (up_to - below)
