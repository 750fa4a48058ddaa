"""Add elements to a SpatialData object, on disk so that neither a kill nor a full disk can hurt its store."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.arguments import SWITCH
from stsr.spatial import elements, handle, marks, tables
from stsr.spatial.elements import Fill
from stsr.spatial.errors import write_errors
from stsr.spatial.fill import fill_in_memory, light_copy
from stsr.spatial.record import check_object, known, note
from stsr.spatial.root import LONGEST, STORE_ID, attributes, check_same, check_store, groups, local, merge, own
from stsr.spatial.transaction import NEW, locked, recover, swap_in, transaction

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What SpatialData and zarr take for the name of an element."""

__all__ = ["check_name", "check_vacant", "create_store", "open_store", "put", "recover", "unless_made"]


class TakenError(ValueError):
    """An element of the name is there already, or another run wrote one while this one was at work."""


def unless_made(sdata: SpatialData, make: Callable[[], Any]) -> None:
    """Run a step that the user did not request by name; the result of another run since is used if there is one."""
    try:
        make()
    except TakenError as error:
        logger.info("Another run made it meanwhile: %s", error)
        handle.refresh(sdata)


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

    Several processes may write to one store at a time: it is locked only while an element is moved into place. Of two
    that write the same name, the second is refused, unless both made the same raster.

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
        When the name is not allowed, is taken, or belongs to an element that stsr did not write; or when another process
        wrote it, or replaced the store by that of another section, in the meantime.
    FileNotFoundError
        When the store is gone.
    OSError
        When the store cannot be written, as on a full disk; it is as it was.

    Examples
    --------
    >>> import numpy as np, spatialdata as sd
    >>> from stsr.spatial import put
    >>> sdata = sd.SpatialData()
    >>> put(sdata, "tissue", sd.models.Labels2DModel.parse(np.ones((4, 5), dtype=np.uint8)))
    >>> sdata["tissue"].shape
    (4, 5)
    """
    kind = elements.kind_of(element)
    if sdata.is_backed():
        recover(sdata.path)
        before = handle.element_signature(local(sdata.path), kind, name)
        check_name(sdata, kind, name, overwrite)
        handle.show(sdata, kind, name, *_write(sdata, kind, name, element, fill, made, before))
        return
    check_name(sdata, kind, name, overwrite)
    element = element if fill is None else fill_in_memory(element, fill)
    mark = marks.new(kind, name, made) | marks.looks(element, kind)
    handle.show(sdata, kind, name, light_copy(element), mark)
    note(sdata, **marks.listed(own(sdata.attrs), {name: mark}))


def create_store(sdata: SpatialData, path: str | os.PathLike[str], *, overwrite: bool = False) -> SpatialData:
    """Write a whole object to a new store and open it from there.

    An existing store is replaced in one step, after the new one is written and read back.

    Raises
    ------
    ValueError
        When something is at ``path`` already, unless it is a store and ``overwrite`` is set, or when ``path`` is no local
        path.
    OSError
        When the store cannot be written, as on a full disk; what was at ``path`` is as it was.
    """
    path = local(path)
    with write_errors(path, "the section"):
        path.parent.mkdir(parents=True, exist_ok=True)
        recover(path)
        check_vacant(path, overwrite)
        with transaction(path) as work:
            with elements.quiet():
                sdata.write(work / NEW, update_sdata_path=False)
            for kind, name, _ in groups(work / NEW):
                if (mark := known(sdata, name)) and "id" in mark:
                    marks.stamp(work / NEW, kind, name, mark)
            store_id = uuid.uuid4().hex
            merge(work / NEW, work, {STORE_ID: store_id})
            open_store(work / NEW)
            with locked(path):
                check_vacant(path, overwrite)
                swap_in(path, work, work / NEW, path)
    created = open_store(path)
    if own(created.attrs).get(STORE_ID) != store_id:
        raise ValueError(f"store={str(path)!r} was replaced by another run meanwhile; name another path.")
    return created


def check_vacant(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Refuse a path for a new store that is taken, unless by a store that may be overwritten.

    Raises
    ------
    ValueError
        When something is there that may not be replaced.
    """
    SWITCH("overwrite", overwrite)
    if not isinstance(path, str | os.PathLike) or not str(path).strip():
        raise ValueError(f"store={path!r} is no path; pass that of a folder to write, such as 'section.zarr'.")
    path = local(path)
    with write_errors(path, "the section"):
        if not os.path.lexists(path):
            return
        is_store = attributes(path) is not None
    if not is_store:
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

    path = local(path)
    recover(path)
    check_store(path)
    try:
        with elements.quiet():
            sdata = sd.read_zarr(path, selection=("images", "labels", "points", "shapes"))
        for kind, name, meta in groups(path):
            if kind == "tables":
                sdata.tables[name] = tables.read_table(meta.parent)
    except PermissionError as error:
        raise PermissionError(error.errno, f"store={str(path)!r} may not be read; ask for permission to.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"store={str(path)!r} is damaged: {type(error).__name__}: {error}; restore it from a copy, or remove the "
            "element that cannot be read."
        ) from error
    handle.remember(sdata)
    return sdata


def check_name(sdata: SpatialData, kind: str, name: str, overwrite: bool) -> None:
    """Refuse a name for an element of a kind (``"tables"``, ``"images"``, ...) that could not be written.

    Raises
    ------
    ValueError
        When the name is not allowed, is taken, or belongs to an element that stsr did not write.
    """
    check_object(sdata)
    SWITCH("overwrite", overwrite)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"key_added={name!r} is no element name; use letters, digits, '_', '-' and '.'.")
    if len(name) > LONGEST:
        raise ValueError(f"key_added={name[:40] + '...'!r} has {len(name)} letters; use at most {LONGEST}.")
    handle.refresh(sdata)
    taken = {(there, other) for there, other, _ in sdata.gen_elements()}
    if sdata.is_backed():
        taken |= {(there, other) for there, other, _ in groups(local(sdata.path))}
    taken = {(there, other) for there, other in taken if other.lower() == name.lower()}
    if not taken:
        return
    if taken != {(kind, name)} or known(sdata, name) is None:
        raise ValueError(
            f"key_added={name!r} is the name of another element, which stsr did not write; choose another name."
        )
    if not overwrite:
        raise TakenError(f"key_added={name!r} exists already; pass overwrite=True to replace it or another name.")


def _write(
    sdata: SpatialData,
    kind: str,
    name: str,
    element: Any,
    fill: Fill | None,
    made: Mapping[str, Any] | None,
    before: handle.Signature | None,
) -> tuple[Any, dict[str, Any] | None]:
    """Write one element into the store of ``sdata``, where ``before`` was; returns it as read back, and its mark."""
    path = local(sdata.path)
    check_same(sdata, path)
    with write_errors(path, f"key_added={name!r}"), transaction(path) as work:
        mark = marks.new(kind, name, made)
        if kind == "shapes":  # what their attrs hold is written with them
            element = light_copy(element)
            marks.attach(element, mark)
        elements.write_alone(work / NEW, kind, name, element, fill)
        mark |= marks.looks(elements.read(work / NEW, kind, name, lazy_bytes=0), kind)
        marks.stamp(work / NEW, kind, name, mark)
        with locked(path):
            check_same(sdata, path)
            elsewhere = [there for there, other, _ in groups(path) if other.lower() == name.lower()] not in ([], [kind])
            if handle.element_signature(path, kind, name) == before and not elsewhere:
                part = Path(kind, name) if (path / kind).exists() else Path(kind)
                swap_in(path, work, work / NEW / part, path / part)
            else:
                _leave(path, kind, name, mark)
        handle.adopt(sdata, own(attributes(path)))
    return elements.read(path, kind, name), marks.on_disk(path, kind, name)


def _leave(path: Path, kind: str, name: str, mark: Mapping[str, Any]) -> None:
    """Leave an element that another process wrote meanwhile in place; refused unless it is the same."""
    theirs = marks.on_disk(path, kind, name)
    if theirs is None or not marks.same(theirs, mark):
        raise TakenError(
            f"key_added={name!r} was written to store={str(path)!r} by another run while this one was at work, and that "
            "one is kept; choose another name, or run again with overwrite=True."
        )
    logger.info("%s: another run wrote the same meanwhile.", name)
