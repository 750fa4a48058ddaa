"""Spatial autocorrelation of the truth and of a prediction."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from stsr.metrics._columns import centred, constant, matrices, pair, total


def rook_neighbours(rowcol: ArrayLike) -> sp.csr_array:
    """Pairs of cells that share an edge.

    Parameters
    ----------
    rowcol
        (cells, 2) whole row and column of each cell.

    Returns
    -------
    Sparse symmetric (cells, cells) matrix of ones; a cell has up to four neighbours and is not its own.

    Raises
    ------
    ValueError
        When two cells have one place.

    Examples
    --------
    >>> import stsr
    >>> stsr.metrics.rook_neighbours([[0, 0], [0, 1], [1, 1]]).toarray().astype(int)
    array([[0, 1, 0],
           [1, 0, 1],
           [0, 1, 0]])
    """
    rowcol = np.asarray(rowcol, dtype=np.int64).reshape(-1, 2)
    n = len(rowcol)
    row, col = (rowcol - rowcol.min(axis=0, initial=0)).T
    width = int(col.max(initial=0)) + 2  # one column stays empty: the end of a row is not beside the next one's start
    place = row * width + col
    order = np.argsort(place)
    ordered = place[order]
    if shared := int((ordered[1:] == ordered[:-1]).sum()):
        raise ValueError(f"rowcol has {shared} cells at the place of another; each cell needs its own row and column.")

    edges = sp.csr_array((n, n), dtype=np.float32)
    for step in (1, width):  # right and below
        at = np.minimum(np.searchsorted(ordered, place + step), n - 1)
        cell = np.flatnonzero(ordered[at] == place + step)
        edges += sp.csr_array((np.ones(len(cell), dtype=np.float32), (cell, order[at[cell]])), shape=(n, n))
    return edges + edges.T


def morans_i(values: ArrayLike, neighbours: sp.sparray | sp.spmatrix) -> NDArray[np.float64]:
    r"""Moran's I: the correlation of cells with their neighbours.

    .. math:: I_g = \frac{n}{\sum_{ab} w_{ab}} \cdot
              \frac{\sum_{ab} w_{ab} (y_{ag} - \bar y_g)(y_{bg} - \bar y_g)}{\sum_a (y_{ag} - \bar y_g)^2}

    Weights are taken as they are [1]_. :func:`squidpy.gr.spatial_autocorr` gives the same with ``transformation=False``;
    its default first divides each cell's weights by their sum, which on a grid matters at the tissue's edge alone.

    Parameters
    ----------
    values
        (cells, genes) values.
    neighbours
        (cells, cells) sparse weights w, for instance :func:`rook_neighbours`, or ``obsp["spatial_connectivities"]`` from
        squidpy.

    Returns
    -------
    (genes,) correlations: near 0 without a pattern, near 1 for a smooth map, negative for a chequerboard; NaN for a
    constant gene, and for all when no cell has a neighbour.

    Raises
    ------
    ValueError
        When ``values`` is no matrix, or ``neighbours`` is not of its cells.

    References
    ----------
    .. [1] Moran (1950), Notes on continuous stochastic phenomena. Biometrika 37:17-23.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> rowcol = np.argwhere(np.ones((20, 20)))
    >>> maps = np.column_stack([rowcol[:, 0], rowcol.sum(axis=1) % 2])  # a slope and a chequerboard
    >>> stsr.metrics.morans_i(maps, stsr.metrics.rook_neighbours(rowcol)).round(2)
    array([ 0.95, -1.  ])
    """
    (values,) = matrices(values=values)
    n = len(values)
    if neighbours.shape != (n, n):
        raise ValueError(
            f"neighbours {neighbours.shape} must be a (cells, cells) matrix of the {n} cells of the values."
        )
    z = centred(values)
    weight = float(neighbours.sum())
    scale = np.where(constant(values), np.nan, total(z * z)) * (weight if weight > 0 else np.nan)
    return n * total(z * (neighbours @ z)) / scale


def morans_preservation(
    truth: ArrayLike, prediction: ArrayLike, neighbours: sp.sparray | sp.spmatrix
) -> NDArray[np.float64]:
    r"""Difference in spatial autocorrelation, Moran's I, between prediction and truth.

    .. math:: \Delta_g = I_g(\hat y) - I_g(y)

    0 is the truth's autocorrelation, above 0 is smoother, below 0 rougher. Counting noise makes true counts rough, and a
    correct expectation has no such noise and is smoother: on sparse counts, 0 is not the optimum.

    Parameters
    ----------
    truth, prediction
        (cells, genes) values.
    neighbours
        As in :func:`morans_i`.

    Returns
    -------
    (genes,) differences; NaN where the truth or the prediction of a gene is constant.

    Raises
    ------
    ValueError
        When the shapes differ.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> rowcol = np.argwhere(np.ones((20, 20)))
    >>> expected = 2.0 * rowcol[:, :1]
    >>> counts = np.random.default_rng(0).poisson(expected)
    >>> stsr.metrics.morans_preservation(counts, expected, stsr.metrics.rook_neighbours(rowcol)).round(2)
    array([0.13])
    """
    truth, prediction = pair(truth, prediction)
    return morans_i(prediction, neighbours) - morans_i(truth, neighbours)
