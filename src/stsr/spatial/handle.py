"""Keep an open object up to date with its store, into which other processes may write."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from stsr.constants import ATTRS
from stsr.spatial import elements, marks
from stsr.spatial.root import attributes, check_same, groups, local, own

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

Signature = tuple[int, ...]


@dataclass
class _Seen:
    """What the files of a store looked like when an object was last brought up to date."""

    path: Path
    root: Signature | None = None
    elements: dict[tuple[str, str], Signature | None] = field(default_factory=dict)


_seen: WeakKeyDictionary[SpatialData, _Seen] = WeakKeyDictionary()


def signature(file: Path) -> Signature | None:
    """What changes when a file is replaced; None when there is none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def element_signature(path: Path, kind: str, name: str) -> Signature | None:
    """What changes when an element of a store is replaced; None when there is none."""
    return signature(path / kind / name / "zarr.json")


def refresh(sdata: SpatialData) -> None:
    """Bring an object up to date with its store: the record, and what stsr wrote since it was opened.

    Elements that are not stsr's stay as they are, and so do those that were assigned to the object but not written.

    Raises
    ------
    FileNotFoundError
        When the store is gone.
    ValueError
        When it was replaced by another one.
    """
    if not sdata.is_backed() or hasattr(sdata.path, "protocol"):
        return
    path = local(sdata.path)
    seen = _seen.get(sdata)
    first = seen is None or seen.path != path
    if seen is None or seen.path != path:
        seen = _seen[sdata] = _Seen(path)
    root = signature(path / "zarr.json")
    if root is None or root != seen.root:
        check_same(sdata, path)
        adopt(sdata, own(attributes(path)))
        seen.root = root
    files = {(kind, name): signature(meta) for kind, name, meta in groups(path)}
    changed = [key for key, found in files.items() if seen.elements.get(key) != found]
    fresh = _Fresh(path)
    for kind, name in changed:
        if _update(sdata, fresh, kind, name, first):
            seen.elements[kind, name] = files[kind, name]


def remember(sdata: SpatialData) -> None:
    """Note that an object was just read from its store: all its elements are those on disk."""
    path = local(sdata.path)
    files = {(kind, name): signature(meta) for kind, name, meta in groups(path)}
    _seen[sdata] = _Seen(path, signature(path / "zarr.json"), files)
    for kind, name in files:
        if (mark := marks.on_disk(path, kind, name)) and name in sdata:
            marks.attach(sdata[name], mark)


def adopt(sdata: SpatialData, kept: dict[str, Any]) -> None:
    """Take over what the store says in ``attrs["stsr"]``; a crop that shares the attributes does not see it."""
    if kept and kept != sdata.attrs.get(ATTRS):
        sdata.attrs = {**sdata.attrs, ATTRS: kept}


def show(sdata: SpatialData, kind: str, name: str, element: Any, mark: dict[str, Any] | None) -> None:
    """Put an element as read from the store into an object."""
    if mark is not None:
        marks.attach(element, mark)
    if name in sdata:
        del sdata[name]
    with elements.quiet():
        sdata[name] = element
    if (seen := _seen.get(sdata)) is not None:
        seen.elements[kind, name] = element_signature(seen.path, kind, name)


class _Fresh:
    """Elements as they are on disk; those of a kind are read together, as SpatialData reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[str, Any] = {}

    def __call__(self, kind: str, name: str) -> Any:
        if kind == "tables":
            return elements.read(self.path, kind, name)
        if kind not in self._read:
            self._read[kind] = elements.read_kind(self.path, kind)
        return self._read[kind].get(name)


def _update(sdata: SpatialData, fresh: _Fresh, kind: str, name: str, first: bool) -> bool:
    """Bring one element up to date; False when it could not be read, as while somebody writes it.

    For an object that is seen for the ``first`` time it is unknown whether an element of others was left out on purpose.
    """
    mark = marks.on_disk(fresh.path, kind, name)
    present = name in sdata
    if present and name not in getattr(sdata, kind):
        return True
    if mark is None and (first or present and kind not in ("images", "labels")):
        return True
    carried = marks.of(sdata[name], name) if present else None
    if carried is not None and mark is not None and carried["id"] == mark["id"]:
        return True
    if carried is None and present and kind in ("tables", "shapes"):
        return True  # somebody's own: what stsr wrote would carry its mark
    try:
        element = fresh(kind, name)
    except (OSError, ValueError, KeyError) as error:
        logger.info("%s: not read yet (%s).", name, error)
        return False
    if element is None:
        return False
    if not present:
        logger.info("%s: read from the store, where another run added it.", name)
    elif (carried is None or mark is None) and not _read_as_stored(sdata[name], element, fresh.path / kind / name):
        return True  # but rasters read from files are of no use once others lie in their place
    elif carried is not None:
        logger.warning("%s: read again from the store, where another run replaced it.", name)
    show(sdata, kind, name, element, mark)
    return True


def _read_as_stored(element: Any, fresh: Any, stored: Path) -> bool:
    """Whether a raster was read from its files and not computed since: dask names arrays by what made them."""
    from spatialdata._io import get_dask_backing_files

    made_by = [str(getattr(marks.bearer(one).data, "name", "")).rpartition("-")[0] for one in (element, fresh)]
    files = get_dask_backing_files(element)
    return made_by[0] == made_by[1] and all(Path(file).is_relative_to(stored) for file in files)
