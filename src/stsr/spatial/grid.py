"""A :class:`~stsr.geometry.Grid` as a labels element, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stsr.geometry import Grid
from stsr.spatial.frames import transformations, um_affine
from stsr.spatial.record import Record, record

if TYPE_CHECKING:
    from spatialdata import SpatialData
    from xarray import DataArray


def grid_to_labels(grid: Grid, record: Record) -> DataArray:
    """The labels element of a grid: uint32, one label per cell inside tissue, 0 elsewhere.

    Its place is in the transformation, both to the section's coordinate system and to ``"global"``.
    """
    from spatialdata.models import Labels2DModel

    return Labels2DModel.parse(grid.labels, dims=("y", "x"), transformations=transformations(grid.affine, record))


def labels_to_grid(sdata: SpatialData, key: str) -> Grid:
    """The grid behind a labels element: the inverse of :func:`grid_to_labels`.

    Raises
    ------
    KeyError
        When there is no labels element of that name; the message lists those there are.
    ValueError
        When the element is a pyramid, does not number its cells 1, 2, ... row by row, or its cells are not square.
    """
    from xarray import DataArray

    if key not in sdata.labels:
        raise KeyError(f"grid={key!r} not found; sdata holds the labels {', '.join(sdata.labels) or 'none'}.")
    element = sdata.labels[key]
    if not isinstance(element, DataArray):
        raise ValueError(f"grid={key!r} has several scales, a grid has one; make it with stsr.pp.make_grid.")
    labels = np.asarray(element.data)
    grid = Grid(um_affine(element, record(sdata), name=key), labels > 0)
    if not np.array_equal(grid.labels, labels):
        raise ValueError(f"grid={key!r} does not number its cells 1, 2, ... row by row; use stsr.pp.make_grid.")
    return grid
