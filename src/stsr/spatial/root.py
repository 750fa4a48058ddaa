"""The root of a store: whether a path is one, its attributes, and its list of elements."""

from __future__ import annotations

import json
import os
import re
import uuid
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.arguments import at_home
from stsr.constants import ATTRS
from stsr.spatial import marks

if TYPE_CHECKING:
    from spatialdata import SpatialData

KINDS = ("images", "labels", "points", "shapes", "tables")
"""Groups of a store that hold elements."""

STORE_ID = "store_id"
"""Key of ``attrs["stsr"]``: distinguishes a store from another one that was written to the same path later."""

LONGEST = 255
"""Bytes of a file's name that every usual file system takes."""


def local(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a store, links resolved.

    Raises
    ------
    ValueError
        When it is an address of a remote store, or no path.
    """
    text = str(path) if hasattr(path, "protocol") else os.fspath(path)  # UPath has a protocol
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text) and not text.startswith("file:"):
        raise ValueError(f"store={text!r} is not on a local disk; copy the store to one and pass the path of the copy.")
    if "\0" in text or not text:
        raise ValueError(f"store={text!r} is no path; pass the path of a folder.")
    name = Path(text).name
    if len(os.fsencode(name)) > LONGEST - len("..stsr-12345678"):
        raise ValueError(f"store={name[:40] + '...'!r} has too long a name; choose one of at most 200 letters.")
    try:
        path = at_home(text).resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise ValueError(f"store={text!r} leads nowhere ({error}); check its links.") from error
    if not path.name:
        raise ValueError(f"store={text!r} is the root of a disk; pass the path of a folder on it.")
    return path


def attributes(path: Path) -> dict[str, Any] | None:
    """The attributes of the root group; None when the path holds no SpatialData store in zarr 3 format.

    Raises
    ------
    PermissionError
        When it may not be read.
    """
    try:
        root = json.loads((path / "zarr.json").read_bytes())
    except PermissionError as error:
        raise PermissionError(error.errno, f"store={str(path)!r} may not be read; ask for permission to.") from error
    except (OSError, ValueError, RecursionError):
        return None
    found = root.get("attributes") if isinstance(root, dict) else None
    return found if isinstance(found, dict) and "spatialdata_attrs" in found else None


def check_store(path: Path) -> None:
    """Refuse a path that is no store.

    Raises
    ------
    FileNotFoundError
        When nothing is there.
    ValueError
        When something else is there.
    """
    if not os.path.lexists(path):
        raise FileNotFoundError(f"store={str(path)!r} does not exist; check the path.")
    if attributes(path) is None:
        raise ValueError(
            f"store={str(path)!r} is not a SpatialData store in zarr 3 format; make one with stsr.pp.read_visium, or "
            "with sdata.write of spatialdata 0.5 or newer."
        )


def check_same(sdata: SpatialData, path: Path) -> None:
    """Refuse a store that was replaced by another one since ``sdata`` was opened.

    Raises
    ------
    FileNotFoundError
        When the store is gone.
    ValueError
        When another one is in its place.
    """
    check_store(path)
    known = sdata.attrs.get(ATTRS, {}).get(STORE_ID)
    if known is not None and own(attributes(path)).get(STORE_ID) != known:
        raise ValueError(
            f"store={str(path)!r} was replaced by another section since this object was opened; open the store again."
        )


def own(attrs: Mapping[str, Any] | None) -> dict[str, Any]:
    """What stsr keeps in a store's or an object's attributes."""
    found = (attrs or {}).get(ATTRS, {})
    return dict(found) if isinstance(found, Mapping) else {}


def merge(path: Path, work: Path, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Add entries to ``attrs["stsr"]`` of the store, as it is on disk now; returns all that is there then.

    The store must be locked. ``work`` is a scratch directory beside it: the file appears in the store complete.
    """
    root = json.loads((path / "zarr.json").read_bytes())
    merged = own(root["attributes"]) | dict(entries)
    root["attributes"][ATTRS] = merged
    move_in(work, path / "zarr.json", json.dumps(root, indent=2).encode())
    return merged


def move_in(work: Path, target: Path, content: bytes) -> None:
    """Write a file elsewhere and put it in its place with one rename."""
    aside = work / "aside"
    aside.write_bytes(content)
    aside.replace(target)


def groups(path: Path) -> Iterator[tuple[str, str, Path]]:
    """Kind, name and metadata file of each element of a store; not of one that another program began to write."""
    for kind in KINDS:
        for meta in sorted((path / kind).glob("*/zarr.json")):
            if kind != "tables" or _is_table(meta):
                yield kind, meta.parent.name, meta


def _is_table(meta: Path) -> bool:
    """Whether a table was written to its end: AnnData writes the type of a group last. Other damage is found on reading."""
    try:
        return json.loads(meta.read_bytes()).get("attributes") != {}
    except (ValueError, AttributeError):
        return True


def publish(path: Path, work: Path) -> None:
    """Make the store's lists of its elements agree with its directories. The store must be locked."""
    import zarr
    from zarr.errors import ZarrUserWarning
    from zarr.storage import LocalStore, WrapperStore

    class Complete(WrapperStore[LocalStore]):
        """A store in which a file appears complete: zarr's own way leaves a part of it when it is killed."""

        async def set(self, key: str, value: Any) -> None:
            move_in(work, path / key, value.to_bytes())

    kept = own(attributes(path))
    on_disk = {name: mark for kind, name, _ in groups(path) if (mark := marks.on_disk(path, kind, name))}
    merge(path, work, {STORE_ID: kept.get(STORE_ID) or uuid.uuid4().hex, **marks.listed(kept, on_disk)})
    store = Complete(LocalStore(path))
    root = zarr.open_group(store, mode="r+", use_consolidated=False)
    with warnings.catch_warnings():
        # The parquet files of shapes are no zarr nodes; zarr says so each time it walks past them.
        warnings.simplefilter("ignore", ZarrUserWarning)
        if (path / "labels").exists():
            labels = zarr.open_group(store, path="labels", mode="r+", use_consolidated=False)
            labels.attrs["ome"] = {"labels": sorted(labels.group_keys())}
        zarr.consolidate_metadata(root.store)
