"""Scores that treat the map of a gene as a grey image, as in the protocol of HISTEX."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.metrics._columns import pair, to_unit_range

WINDOW = 7
"""Side in cells of the window of :func:`ssim`."""


def rmse(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    """Root mean squared difference of truth and prediction, each scaled to 0 to 1 by its own range over all cells.

    With the scaling, genes of any abundance are comparable, and the scale of a prediction does not matter. Without it, the
    root of :func:`mse` is the difference in counts, and :func:`nrmse` that as a share of the truth's range.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values.

    Returns
    -------
    (genes,) differences from 0 to 1; NaN where the truth or the prediction of a gene is constant.

    Raises
    ------
    ValueError
        When the two differ in shape.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.rmse([[0], [1], [2]], [[0], [30], [30]]).round(4)
    array([0.2887])
    """
    truth, prediction = pair(truth, prediction)
    difference = to_unit_range(truth) - to_unit_range(prediction)
    return np.sqrt((difference**2).mean(axis=0, dtype=np.float64))


def ssim(truth: ArrayLike, prediction: ArrayLike, rowcol: ArrayLike) -> NDArray[np.float64]:
    """Structural similarity of the maps of a gene.

    Truth and prediction are scaled to 0 to 1 as in :func:`rmse` and drawn on the raster that encloses all cells, 0 where
    there is none; the similarity of windows of 7 x 7 cells, for a data range of 1, is averaged over the raster [1]_.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values.
    rowcol
        (cells, 2) whole row and column of each cell.

    Returns
    -------
    (genes,) similarities, 1 for equal pictures; NaN where the truth or the prediction of a gene is constant, and for all
    genes when the raster is smaller than a window.

    Raises
    ------
    ValueError
        When the two differ in shape.

    References
    ----------
    .. [1] Wang et al. (2004), Image quality assessment: from error visibility to structural similarity. IEEE
       Transactions on Image Processing 13:600-612, equation 13.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> rowcol = np.argwhere(np.ones((8, 8)))
    >>> values = rowcol[:, :1] % 3
    >>> stsr.metrics.ssim(values, 2.0 * values, rowcol)
    array([1.])
    """
    from skimage.metrics import structural_similarity

    truth, prediction = pair(truth, prediction)
    place = np.asarray(rowcol) - np.min(rowcol, axis=0)
    shape = tuple(place.max(axis=0) + 1)
    if min(shape) < WINDOW:
        return np.full(truth.shape[1], np.nan)

    def draw(column: NDArray[np.floating]) -> NDArray[np.floating]:
        picture = np.zeros(shape, dtype=column.dtype)
        picture[place[:, 0], place[:, 1]] = column
        return picture

    return np.array(
        [
            structural_similarity(draw(a), draw(b), win_size=WINDOW, data_range=1.0)
            for a, b in zip(to_unit_range(truth).T, to_unit_range(prediction).T, strict=True)
        ],
        dtype=np.float64,
    )
