"""Delaunay triangulation of spots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError


def triangulate(spots: NDArray[np.float64]) -> Delaunay:
    """Delaunay triangulation of spots (spots, 2).

    Raises
    ------
    ValueError
        For spots that span no triangle.
    """
    try:
        return Delaunay(spots)
    except (QhullError, ValueError) as error:
        raise ValueError(
            f"spots={len(spots)} span no triangle: at least 3 are needed that are not on one line; use method='nearest'."
        ) from error
