"""Affines between an element's own coordinates, full-resolution pixels and µm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stsr.spatial.record import Record


def um_affine(element: Any, record: Record, *, name: str) -> NDArray[np.float64]:
    """(3, 3) matrix from an element's own (x, y) to µm.

    Raises
    ------
    ValueError
        When the element is not registered in the section's coordinate system.
    """
    from spatialdata.transformations import get_transformation

    transformations = get_transformation(element, get_all=True)
    if record.coordinate_system not in transformations:
        raise ValueError(
            f"element {name!r} is not in the coordinate system {record.coordinate_system!r}, only in "
            f"{', '.join(transformations)}; register it with spatialdata.transformations.set_transformation."
        )
    to_pixel = transformations[record.coordinate_system].to_affine_matrix(("x", "y"), ("x", "y"))
    return np.diag([record.mpp, record.mpp, 1.0]) @ to_pixel


def transformations(to_um: NDArray[np.float64], record: Record) -> dict[str, Any]:
    """What a SpatialData model takes as ``transformations`` for an element with a (3, 3) affine from (x, y) to µm."""
    from spatialdata.transformations import Affine

    to_pixel = np.diag([1 / record.mpp, 1 / record.mpp, 1.0]) @ to_um
    affine = Affine(to_pixel, input_axes=("x", "y"), output_axes=("x", "y"))
    return {record.coordinate_system: affine, "global": affine}
