"""Elements whose large arrays are filled in: in memory, as on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.spatial import tables
from stsr.spatial.elements import Fill

if TYPE_CHECKING:
    from anndata import AnnData


def fill_in_memory(element: Any, fill: Fill) -> Any:
    """Compute the dask arrays of an element, have them filled, and put them back."""
    from anndata import AnnData
    from xarray import DataTree

    if isinstance(element, AnnData):
        return _fill_table(element, fill)
    if isinstance(element, DataTree):
        names = list(element)
        levels = _fill_levels([element[name]["image"] for name in names], fill)
        return DataTree.from_dict(
            {name: level.to_dataset(name="image") for name, level in zip(names, levels, strict=True)}
        )
    return _fill_levels([element], fill)[0]


def light_copy(element: Any) -> Any:
    """A copy of a raster or of shapes that shares their values but not their attributes; a table as it is."""
    from anndata import AnnData

    if isinstance(element, AnnData):
        return element
    return element.copy() if hasattr(element, "geometry") or hasattr(element, "children") else element.copy(deep=False)


def _fill_table(table: AnnData, fill: Fill) -> AnnData:
    arrays = {key: np.array(array) for key, array in tables.lazy_arrays(table).items()}
    fill(arrays.__getitem__)
    table = tables.without(table, arrays)
    for key, array in arrays.items():
        slot, _, inner = key.partition("/")
        if inner:
            getattr(table, slot)[inner] = array
        else:
            table.X = array
    return table


def _fill_levels(levels: list[Any], fill: Fill) -> list[Any]:
    import dask.array as da

    buffers = [np.array(level.data) for level in levels]
    fill(lambda key: buffers[int(key)])
    # Only now: dask keeps a copy of the array it is given.
    return [
        level.copy(data=da.from_array(buffer, chunks=level.chunks))
        for level, buffer in zip(levels, buffers, strict=True)
    ]
