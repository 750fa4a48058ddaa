"""Agreement of domains found in a prediction with those of the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class DomainAgreement(NamedTuple):
    """Agreement of two partitions of the same cells."""

    ari: float
    """Adjusted Rand index: 1 for the same partition, 0 on average for a random one."""
    nmi: float
    """Mutual information of the two over the mean of their entropies, 0 to 1. Many small domains raise it by chance."""


def domain_agreement(truth_labels: ArrayLike, predicted_labels: ArrayLike) -> DomainAgreement:
    """Agreement of two partitions of the same cells, whatever the domains are called.

    Parameters
    ----------
    truth_labels, predicted_labels
        (cells,) domain of each cell: numbers, names or a categorical.

    Returns
    -------
    ``ari``, the adjusted Rand index [1]_, and ``nmi``, the normalised mutual information.

    Raises
    ------
    ValueError
        When the two differ in length.

    References
    ----------
    .. [1] Hubert & Arabie (1985), Comparing partitions. Journal of Classification 2:193-218.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.domain_agreement(["cortex", "cortex", "medulla"], [2, 2, 0])
    DomainAgreement(ari=1.0, nmi=1.0)
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    truth, predicted = np.asarray(truth_labels), np.asarray(predicted_labels)
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise ValueError(
            f"truth_labels {truth.shape} and predicted_labels {predicted.shape} must be (cells,), of the same cells."
        )
    return DomainAgreement(
        ari=float(adjusted_rand_score(truth, predicted)), nmi=float(normalized_mutual_info_score(truth, predicted))
    )
