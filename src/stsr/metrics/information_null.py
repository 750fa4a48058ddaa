"""Mutual information of predictions that know nothing: what chance alone gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import random_table

from stsr.metrics._columns import pair, unknown
from stsr.metrics.information import ROUNDING, count_tables, table_information


class InformationNull(NamedTuple):
    """Mutual information by chance, and how far the observed one exceeds it; (genes,) each."""

    mean: NDArray[np.float64]
    """Mean information over permutations, in nats: that expected by chance."""
    z: NDArray[np.float64]
    """Observed less mean, in standard deviations over permutations; NaN where these are all equal, as for a constant."""
    p: NDArray[np.float64]
    """Share of permutations, the observed order included, with at least the observed information."""


def mutual_information_null(
    truth: ArrayLike, prediction: ArrayLike, *, bins: int = 10, n_permutations: int = 1000, seed: int = 0
) -> InformationNull:
    """The mutual information that a prediction shares with the truth when its cells are permuted.

    Permuting cells keeps the number of cells in each bin: the joint table is a random one with fixed margins. These tables
    are drawn directly [1]_, so that the cost does not depend on the number of cells.

    Cells are taken as exchangeable. Neighbours in tissue are not: two unrelated smooth maps also have a
    small p. It shows that there is more than noise, not that the prediction has this gene's pattern.

    Parameters
    ----------
    truth, prediction, bins
        As in :func:`mutual_information`.
    n_permutations
        Permutations of each gene.
    seed
        Seed of the permutations. It is used anew for each gene, so that genes do not depend on one another.

    Returns
    -------
    ``mean``, ``z`` and ``p`` of each gene, the last never 0 [2]_.

    Raises
    ------
    ValueError
        When the two differ in shape, or ``bins`` or ``n_permutations`` is below 2.

    References
    ----------
    .. [1] Patefield (1981), Algorithm AS 159: an efficient method of generating random R x C tables with given row and
       column totals. Applied Statistics 30:91-97.
    .. [2] Phipson & Smyth (2010), Permutation p-values should never be zero. Statistical Applications in Genetics and
       Molecular Biology 9:39.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> truth = np.random.default_rng(0).poisson(2.0, (500, 1))
    >>> null = stsr.metrics.mutual_information_null(truth, truth)
    >>> null.p.round(3)
    array([0.001])
    """
    if n_permutations < 2:
        raise ValueError(f"n_permutations={n_permutations} must be 2 or more; 1000 is usual.")
    truth, prediction = pair(truth, prediction)
    tables = count_tables(truth, prediction, bins)
    nulls = np.array([_null(table, n_permutations, np.random.default_rng(seed)) for table in tables]).reshape(-1, 3)
    return InformationNull(*np.where(unknown(truth, prediction), np.nan, nulls.T))


def _null(table: NDArray[np.int64], n_permutations: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean, z and p of one gene."""
    if 1 in table.shape:  # a constant has one such table only; scipy would draw others
        return 0.0, np.nan, 1.0
    observed = table_information(table)
    drawn = table_information(
        random_table.rvs(table.sum(axis=1), table.sum(axis=0), size=n_permutations, random_state=rng)
    )
    mean, sd = drawn.mean(), drawn.std()
    z = (observed - mean) / sd if sd > ROUNDING else np.nan
    return mean, z, (1 + (drawn >= observed - ROUNDING).sum()) / (1 + n_permutations)
