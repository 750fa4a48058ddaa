"""One element at a time: which kind it is, how it is written alone, filled and read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.spatial import tables

if TYPE_CHECKING:
    from anndata import AnnData

Open = Callable[[str], Any]
"""Takes the path of an array inside an element (``"X"``, ``"layers/sd"``, ``"0"``) to a writable array."""

Fill = Callable[[Open], None]
"""Writes the large arrays of an element, block by block."""


def kind_of(element: Any) -> str:
    """The group of a store that an element belongs to, such as ``"images"``."""
    import spatialdata as sd

    with quiet():
        return next(iter(sd.SpatialData.init_from_elements({"element": element}).gen_elements()))[0]


def write_alone(path: Path, kind: str, name: str, element: Any, fill: Fill | None) -> None:
    """Write a store that holds one element."""
    import dask.array as da
    import spatialdata as sd
    import zarr

    large = tables.lazy_arrays(element) if kind == "tables" else {}
    with quiet():
        alone = sd.SpatialData.init_from_elements({name: tables.without(element, large) if large else element})
        alone.write(path, consolidate_metadata=False)
    group = zarr.open_group(path / kind / name, mode="r+", use_consolidated=False)
    for key, array in large.items():
        stored = tables.create_array(group, key, array)
        if fill is None:
            da.store(array.rechunk(stored.chunks), stored, lock=False)
    if fill is not None:
        levels = _levels(group) if kind in ("images", "labels") else {}
        fill(lambda key: group[levels.get(key, key)])


def _levels(group: Any) -> dict[str, str]:
    """Paths of an image's levels in its zarr group by their number: ``"0"`` is the finest."""
    datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
    return {str(number): level["path"] for number, level in enumerate(datasets)}


def read(path: Path, kind: str, name: str, *, lazy_bytes: int | None = None) -> Any:
    """Read one element of a store; for ``lazy_bytes`` see :func:`~stsr.spatial.tables.read_table`."""
    if kind == "tables":
        return tables.read_table(path / kind / name, lazy_bytes=lazy_bytes)
    return read_kind(path, kind)[name]


def read_kind(path: Path, kind: str) -> dict[str, Any]:
    """Read all elements of one kind but tables, by their names."""
    import spatialdata as sd

    with quiet():
        return dict(getattr(sd.read_zarr(path, selection=(kind,)), kind))


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


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings that are of no use to the user of stsr."""
    reader = logging.getLogger("ome_zarr.reader")  # it misses a parent for every labels element of SpatialData
    level = reader.level
    reader.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The table is annotating")  # an element of the other store
            warnings.filterwarnings("ignore", message=".*autosharding")  # a notice of anndata's about its next release
            yield
    finally:
        reader.setLevel(level)
