"""Add elements to a SpatialData object, on disk so that neither a kill nor a full disk can hurt its store."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.constants import ATTRS
from stsr.spatial import elements, tables
from stsr.spatial.elements import Fill
from stsr.spatial.record import note
from stsr.spatial.transaction import NEW, recover, swap_in, transaction

if TYPE_CHECKING:
    from spatialdata import SpatialData

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What SpatialData and zarr take for the name of an element."""

__all__ = ["check_name", "check_vacant", "create_store", "open_store", "put", "recover"]


def put(
    sdata: SpatialData,
    name: str,
    element: Any,
    *,
    overwrite: bool = False,
    fill: Fill | None = None,
    made: Mapping[str, Any] | None = None,
) -> None:
    """Add one element to ``sdata``, and to its store when it has one.

    On disk the element is written beside the store, read back, and only then moved into place: at every moment the
    store opens, with the old element or with the new one. Afterwards ``sdata[name]`` is the element as read back.

    Parameters
    ----------
    sdata
        The object, in memory or backed by a local zarr store.
    name
        Name of the element.
    element
        An image, labels, shapes or table, parsed by its SpatialData model. Its arrays may be dask arrays.
    overwrite
        Replace an element of that name. Only elements that stsr wrote are ever replaced.
    fill
        Called as ``fill(open)`` before the element becomes visible, to write large arrays block by block.
        ``open("X")``, ``open("layers/sd")``, ``open("obsm/X_stsr")`` for the dask arrays of a table, ``open("0")`` for
        the finest level of an image or labels. The dask arrays of a table only say their shape and type then: they
        are not computed, and start as zeros. Bands of 16384 rows or more are written fastest.
    made
        What the element was made from, as JSON entries; :func:`~stsr.spatial.record.made` gives them back.

    Raises
    ------
    ValueError
        When the name is not allowed, is taken, or belongs to an element that stsr did not write.
    OSError
        When the disk is full; the store is as it was.

    Examples
    --------
    >>> import numpy as np, spatialdata as sd
    >>> from stsr.spatial import put
    >>> sdata = sd.SpatialData()
    >>> put(sdata, "tissue", sd.models.Labels2DModel.parse(np.ones((4, 5), dtype=np.uint8)))
    >>> sdata["tissue"].shape
    (4, 5)
    """
    if sdata.is_backed():
        recover(sdata.path)
    kind = elements.kind_of(element)
    check_name(sdata, kind, name, overwrite)
    if sdata.is_backed():
        element = _write(sdata, kind, name, element, fill, made)
    elif fill is not None:
        element = elements.fill_in_memory(element, fill)
    if name in sdata:
        del sdata[name]
    sdata[name] = element
    if not sdata.is_backed():
        _own(sdata, name, made)


def create_store(sdata: SpatialData, path: str | os.PathLike[str], *, overwrite: bool = False) -> SpatialData:
    """Write a whole object to a new store and open it from there.

    An existing store is replaced in one step, after the new one is written and read back.

    Raises
    ------
    ValueError
        When something is at ``path`` already, unless it is a store and ``overwrite`` is set.
    OSError
        When the disk is full; what was at ``path`` is as it was.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    recover(path)
    check_vacant(path, overwrite)
    with _told_if_full(path, "the section"), transaction(path) as work:
        with elements.quiet():
            sdata.write(work / NEW, update_sdata_path=False)
        open_store(work / NEW)
        swap_in(path, work, work / NEW, path)
    return open_store(path)


def check_vacant(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Refuse a path for a new store that is taken, unless by a store that may be overwritten.

    Raises
    ------
    ValueError
        When something is there that may not be replaced.
    """
    path = Path(path)
    if not path.exists():
        return
    if not _is_store(path):
        raise ValueError(f"store={str(path)!r} exists and is not a SpatialData store; choose another path.")
    if not overwrite:
        raise ValueError(f"store={str(path)!r} exists already; pass overwrite=True to replace it or another path.")


def open_store(path: str | os.PathLike[str]) -> SpatialData:
    """Open a SpatialData store after tidying up what a killed run may have left beside it.

    Unlike :func:`spatialdata.read_zarr` it leaves the matrices of large tables on disk, behind dask.

    Raises
    ------
    FileNotFoundError
        When nothing is at ``path``.
    ValueError
        When ``path`` is not a SpatialData store in zarr 3 format.
    """
    import spatialdata as sd

    path = Path(path).resolve()
    recover(path)
    _check_store(path)
    with elements.quiet():
        sdata = sd.read_zarr(path, selection=("images", "labels", "points", "shapes"))
    for group in sorted((path / "tables").glob("*/zarr.json")):
        sdata.tables[group.parent.name] = tables.read_table(group.parent)
    return sdata


def _is_store(path: Path) -> bool:
    """Whether a SpatialData store in zarr 3 format is at ``path``."""
    root = path / "zarr.json"
    return root.is_file() and "spatialdata_attrs" in json.loads(root.read_text()).get("attributes", {})


def _check_store(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"store={str(path)!r} does not exist; check the path.")
    if not _is_store(path):
        raise ValueError(
            f"store={str(path)!r} is not a SpatialData store in zarr 3 format; make one with stsr.pp.read_visium, or "
            "with sdata.write of spatialdata 0.5 or newer."
        )


def check_name(sdata: SpatialData, kind: str, name: str, overwrite: bool) -> None:
    """Refuse a name for an element of a kind (``"tables"``, ``"images"``, ...) that could not be written.

    Raises
    ------
    ValueError
        When the name is not allowed, is taken, or belongs to an element that stsr did not write.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"key_added={name!r} is no element name; use letters, digits, '_', '-' and '.'.")
    taken = {(known, other) for known, other, _ in sdata.gen_elements()}
    if sdata.is_backed():
        taken |= {(part.parent.parent.name, part.parent.name) for part in Path(sdata.path).glob("*/*/zarr.json")}
    taken = {(known, other) for known, other in taken if other.lower() == name.lower()}
    if not taken:
        return
    owned = sdata.attrs.get(ATTRS, {}).get("elements", [])
    if taken != {(kind, name)} or name not in owned:
        raise ValueError(
            f"key_added={name!r} is the name of another element, which stsr did not write; choose another name."
        )
    if not overwrite:
        raise ValueError(f"key_added={name!r} exists already; pass overwrite=True to replace it or another name.")


def _own(sdata: SpatialData, name: str, made: Mapping[str, Any] | None) -> None:
    """Remember that stsr wrote this element and may replace it, and what it was made from."""
    kept = sdata.attrs.get(ATTRS, {})
    owned = sorted({*kept.get("elements", []), name})
    note(sdata, elements=owned, made={**kept.get("made", {}), name: dict(made or {})})


def _write(
    sdata: SpatialData, kind: str, name: str, element: Any, fill: Fill | None, made: Mapping[str, Any] | None
) -> Any:
    """Write one element into the store of ``sdata``; returns it as read back."""
    path = Path(sdata.path).resolve()
    _check_store(path)
    with _told_if_full(path, repr(name)), transaction(path) as work:
        elements.write_alone(work / NEW, kind, name, element, fill)
        elements.read(work / NEW, kind, name, lazy_bytes=0)
        _own(sdata, name, made)
        part = Path(kind, name) if (path / kind).exists() else Path(kind)
        swap_in(path, work, work / NEW / part, path / part)
    return elements.read(path, kind, name)


@contextmanager
def _told_if_full(path: Path, what: str) -> Iterator[None]:
    """Say in one sentence that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        reason = f"{what} does not fit on the disk of store={str(path)!r}; free space and run again."
        raise OSError(error.errno, reason) from error
