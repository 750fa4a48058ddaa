"""Detection: whether a prediction separates cells with counts of a gene from those without."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.metrics._columns import pair, unknown


def auc(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    r"""Area under the ROC curve of detection: cells with a count against those without.

    .. math:: A_g = P(\hat y_{ag} > \hat y_{bg}) + \tfrac12 P(\hat y_{ag} = \hat y_{bg}),
              \qquad y_{ag} > 0,\ y_{bg} = 0

    over all pairs of a cell a in which the gene was seen and a cell b in which it was not [1]_.

    Parameters
    ----------
    truth
        (cells, genes) counts; above 0 is seen.
    prediction
        (cells, genes) values; only their order matters.

    Returns
    -------
    (genes,) areas: 1 when all cells with the gene rank first, 1/2 by chance and for a constant prediction; NaN where a gene
    was seen in all cells or in none, or a value is not finite.

    Raises
    ------
    ValueError
        When the two differ in shape.

    References
    ----------
    .. [1] Hanley & McNeil (1982), The meaning and use of the area under a receiver operating characteristic (ROC) curve.
       Radiology 143:29-36.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.auc([[0], [0], [3], [1]], [[0.1], [0.4], [0.9], [0.2]])
    array([0.75])
    """
    truth, prediction = pair(truth, prediction)
    areas = [_area(p[t > 0], p[t <= 0]) for t, p in zip(truth.T, prediction.T, strict=True)]
    return np.where(unknown(truth, prediction), np.nan, areas)


def _area(seen: NDArray[np.floating], unseen: NDArray[np.floating]) -> float:
    """Share of pairs in which the seen cell is higher, ties counted half; searching in sorted arrays is fast."""
    if not (len(seen) and len(unseen)):
        return np.nan
    seen, unseen = np.sort(seen), np.sort(unseen)
    lower, up_to = (np.searchsorted(unseen, seen, side=side).mean() for side in ("left", "right"))
    return (lower + up_to) / (2 * len(unseen))
