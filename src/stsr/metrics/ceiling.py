"""The best correlation that any prediction can reach against counts this noisy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from stsr.arguments import SHARE
from stsr.metrics._columns import whole_counts
from stsr.metrics.correlation import pearson


def thin(counts: Any, *, share: float = 0.5, seed: int | np.random.Generator = 0) -> tuple[Any, Any]:
    """Split counts at random into two parts that add up to them: each UMI falls into the first with the same probability.

    Of Poisson counts, the parts are independent given the expectation [1]_.

    Parameters
    ----------
    counts
        (cells, genes) counts, an array or a sparse array.
    share
        Probability that a UMI falls into the first part, above 0 and below 1. Halves by default.
    seed
        Seed of the split, or a generator that draws it.

    Returns
    -------
    The two parts, of the kind and type of ``counts``.

    Raises
    ------
    ValueError
        When the counts are not whole numbers from 0 up, or ``share`` is not between 0 and 1.

    References
    ----------
    .. [1] Neufeld et al. (2024), Inference after latent variable estimation for single-cell RNA sequencing data.
       Biostatistics 25:270-287.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> counts = np.array([[3, 0], [10, 1]])
    >>> half, rest = stsr.metrics.thin(counts)
    >>> np.array_equal(half + rest, counts)
    True
    >>> most, few = stsr.metrics.thin(np.full(1000, 10), share=0.9)
    >>> round(float(most.mean()), 1), round(float(few.mean()), 1)
    (9.0, 1.0)
    """
    SHARE("share", share)
    if not sp.issparse(counts):
        counts = np.asarray(counts)
    values = counts.data if sp.issparse(counts) else counts
    drawn = np.random.default_rng(seed).binomial(whole_counts(values, "counts"), share).astype(values.dtype)
    if not sp.issparse(counts):
        return drawn, counts - drawn
    first = counts.copy()
    first.data = drawn
    return first, counts - first


def noise_ceiling(half: ArrayLike, rest: ArrayLike) -> NDArray[np.float64]:
    r"""Pearson correlation that a perfect, noiseless prediction would have with the counts.

    .. math:: c_g = \sqrt{\frac{2 r_g}{1 + r_g}}, \qquad r_g = \mathrm{max}(0, \mathrm{corr}(\text{half}, \text{rest}))

    The fraction is the reliability of the whole by Spearman and Brown, and its root the correlation of the counts with
    their expectation [1]_.

    Parameters
    ----------
    half, rest
        (cells, genes) counts from :func:`thin`, or sums of them over blocks of cells.

    Returns
    -------
    (genes,) ceilings from 0 to 1; NaN where a half is constant.

    Raises
    ------
    ValueError
        When the two differ in shape.

    References
    ----------
    .. [1] Schoppe et al. (2016), Measuring the performance of neural models. Frontiers in Computational Neuroscience
       10:10.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> rng = np.random.default_rng(0)
    >>> expected = rng.gamma(1.0, 1.0, (400_000, 1))  # as variable between cells as its counts are by chance
    >>> counts = rng.poisson(expected)
    >>> stsr.metrics.noise_ceiling(*stsr.metrics.thin(counts)).round(2)
    array([0.71])
    >>> stsr.metrics.pearson(counts, expected).round(2)
    array([0.71])
    """
    r = np.maximum(pearson(half, rest), 0)
    return np.sqrt(2 * r / (1 + r))
