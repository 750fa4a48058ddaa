"""The affine behind row and column numbers of an array, fitted to measured positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.geometry.lattice import FAR, STRETCH, Lattice

LAYOUTS = {"hexagonal": np.array([0.5, np.sqrt(3) / 2]), "square": np.ones(2)}
"""Pitches from one column to the next and from one row to the next. Columns of a hexagonal array are half a pitch apart,
and a row has every second of them, as on Visium slides."""

OFF = 0.2
"""Root mean square distance, in pitches, up to which positions follow a lattice. Spots that were found in the image one by
one lie .12 beside it; rows that are shifted by half a pitch would give .25."""


def fit_affine(colrow: ArrayLike, xy: ArrayLike) -> NDArray[np.float64]:
    """Least-squares similarity or affine (3, 3) from lattice indices (n, 2) as (col, row) to points (n, 2) as (x, y).

    ``fit_affine(colrow + 0.5, centroids)`` gives the corner convention of :class:`~stsr.geometry.Grid`.
    """
    colrow, xy = np.asarray(colrow, dtype=np.float64), np.asarray(xy, dtype=np.float64)
    design = np.column_stack([colrow, np.ones(len(colrow))])
    if np.linalg.matrix_rank(design) < 3:
        raise ValueError("colrow must span two dimensions: at least 3 bins that are not on one line.")
    solution, *_ = np.linalg.lstsq(design, xy, rcond=None)
    return np.vstack([solution.T, [0, 0, 1]])


def fit_lattice(rowcol: ArrayLike, xy: ArrayLike, *, layout: str | None = None) -> Lattice | None:
    """Fit the array on which spots were printed: least squares from row and column to position.

    Rotation and flips are allowed, and missing spots do not matter: isolated ones tell the pitch as well as neighbours.

    Parameters
    ----------
    rowcol
        (spots, 2) row and column on the array.
    xy
        (spots, 2) positions (x, y), in pixels as a rule.
    layout
        A key of :data:`LAYOUTS`; when None, by the distances of rows and columns.

    Returns
    -------
    The lattice; None when the spots are too few to tell it: one place, or one line of an unknown layout.

    Raises
    ------
    ValueError
        When two spots share a row and column, or the positions do not follow a regular lattice.

    Examples
    --------
    >>> lattice = fit_lattice([[0, 0], [0, 10], [6, 4]], [[50, 50], [550, 50], [250, 569.6]])
    >>> round(lattice.pitch, 1), lattice.layout
    (100.0, 'hexagonal')
    """
    rowcol, xy = np.asarray(rowcol, dtype=np.float64), np.asarray(xy, dtype=np.float64)
    if twice := len(rowcol) - len(np.unique(rowcol, axis=0)):
        raise ValueError(f"{twice} of {len(rowcol)} spots share row and column of the array with another.")
    colrow = rowcol[:, ::-1]
    rank = np.linalg.matrix_rank(colrow - colrow.mean(axis=0)) if len(colrow) else 0
    if rank == 0 or (rank == 1 and layout is None):
        return None
    axes = _axes(colrow, xy, layout)
    lengths = np.hypot(*axes.T)
    layout = layout or _layout(lengths)
    per_pitch = axes / LAYOUTS[layout][:, None]
    longer, shorter = np.linalg.svd(per_pitch, compute_uv=False)
    pitch = float(np.sqrt(longer * shorter))
    residual = (xy - xy.mean(axis=0)) - (colrow - colrow.mean(axis=0)) @ axes
    off = np.hypot(*residual.T) / max(pitch, np.finfo(float).tiny)
    if np.sqrt((off**2).mean()) > OFF or off.max() > FAR:
        raise ValueError(
            f"positions do not follow row and column of the array: they lie up to {off.max():.2g} pitches beside it."
        )
    if longer > STRETCH * shorter:
        raise ValueError(
            f"by row and column of the array, spots are {longer:.4g} apart one way and {shorter:.4g} the other, where a "
            f"{layout} array has one pitch."
        )
    return Lattice(pitch, layout)


def _axes(colrow: NDArray[np.float64], xy: NDArray[np.float64], layout: str | None) -> NDArray[np.float64]:
    """(2, 2) steps (x, y) from one column to the next and from one row to the next."""
    if layout is None or np.linalg.matrix_rank(colrow - colrow.mean(axis=0)) == 2:
        return fit_affine(colrow, xy)[:2, :2].T
    # Spots on one line: a similarity, as a complex factor. A flip would fit as well, with the same pitch.
    place = (colrow - colrow.mean(axis=0)) * LAYOUTS[layout] @ (1, 1j)
    factor = np.vdot(place, (xy - xy.mean(axis=0)) @ (1, 1j)) / np.vdot(place, place)
    axes = np.array([[factor.real, factor.imag], [-factor.imag, factor.real]])
    return axes * LAYOUTS[layout][:, None]


def _layout(lengths: NDArray[np.float64]) -> str:
    """The layout whose columns and rows are as far apart as those of the lattice."""
    if not (lengths > 0).all():
        raise ValueError("positions do not follow row and column of the array: all lie on one line.")
    ratio = np.log(lengths[1] / lengths[0])
    return min(LAYOUTS, key=lambda layout: abs(ratio - np.log(LAYOUTS[layout][1] / LAYOUTS[layout][0])))
