"""A :class:`~stsr.geometry.Grid` as a labels element, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stsr.geometry import Grid
from stsr.spatial.crops import crops, moved_by
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

    labels = grid.labels
    if grid.ids is not None:
        labels = np.zeros(grid.shape, dtype=np.uint32)
        labels[grid.mask] = grid.ids
    return Labels2DModel.parse(labels, dims=("y", "x"), transformations=transformations(grid.affine, record))


def labels_to_grid(sdata: SpatialData, key: str) -> Grid:
    """The grid behind a labels element: the inverse of :func:`grid_to_labels`.

    A grid that SpatialData has cropped keeps the numbers of its cells. It is put where the tables say that annotate it,
    because SpatialData places some crops one cell off.

    Raises
    ------
    KeyError
        When there is no labels element of that name; the message lists those there are.
    ValueError
        When the element is a pyramid, does not number its cells row by row, its cells are not square, or it was cropped
        and no table says where its cells lie.
    """
    from xarray import DataArray

    facts = record(sdata)
    if key not in sdata.labels:
        raise KeyError(f"grid={key!r} not found; sdata holds the labels {', '.join(sdata.labels) or 'none'}.")
    element = sdata.labels[key]
    if not isinstance(element, DataArray):
        raise ValueError(f"grid={key!r} has several scales, a grid has one; make it with stsr.pp.make_grid.")
    to_um = um_affine(element, facts, name=key)
    labels = np.asarray(element.data)
    mask = labels > 0
    ids = labels[mask].astype(np.int64)
    if (np.diff(ids) <= 0).any() or (labels < 0).any():
        raise ValueError(
            f"grid={key!r} does not number its cells 1, 2, ... row by row; make a grid with stsr.pp.make_grid, and leave "
            "it in its own pixels: spatialdata's transform cuts cells into pieces."
        )
    grid = Grid(to_um, mask, None if np.array_equal(ids, np.arange(1, len(ids) + 1)) else ids)
    if not (cropped := crops(element, facts.coordinate_system)):
        return grid
    moved = moved_by(sdata, key, grid, cropped, facts.mpp)
    if moved is None:
        raise ValueError(
            f"grid={key!r} was cropped before anything was predicted on it, and SpatialData may have put it one cell off; "
            f"make a new one with stsr.pp.make_grid(sdata, bin_size={grid.bin_size:g}, key_added={key + '_crop'!r}) and "
            f"pass grid={key + '_crop'!r}."
        )
    return Grid(moved @ to_um, mask, grid.ids)
