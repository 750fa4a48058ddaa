"""One element at a time: which kind it is, how it is written alone, filled and read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.spatial import tables

if TYPE_CHECKING:
    pass

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
