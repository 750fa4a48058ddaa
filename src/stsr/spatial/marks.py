"""The mark on an element that stsr wrote: that it did, and what the element was made from.

It lies with the element: in the attributes of its zarr group and, of an open object, in the ``attrs`` of a raster or of
shapes and in the ``uns`` of a table. SpatialData writes those of rasters to no other store, so ``attrs["stsr"]`` keeps
a copy of all marks, which holds for a raster with the same pixels only.
"""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import ATTRS
from stsr.spatial.crops import cuts

UNS = "stsr_element"
"""Key of a table's ``uns`` that holds its mark as JSON: anndata keeps no lists and no None."""

WRITTEN = "written"
"""Key of ``sdata.attrs["stsr"]`` with the copy of all marks by name."""

ELEMENTS = "elements"
"""Key of ``sdata.attrs["stsr"]`` with their names, which was all that former versions kept."""

WHOLE = 2**26
"""Labels of up to this many bytes are compared pixel for pixel, of other rasters a window in the middle."""

WINDOW = 64
"""Side of that window in pixels."""

LONGEST_OUTLINE = 2**16
"""Letters that may say which pixels of labels lie inside: a section of 3,300 x 3,300 bins takes about that."""


def new(kind: str, name: str, made: Mapping[str, Any] | None) -> dict[str, Any]:
    """A mark for an element, to which :func:`looks` adds how to know it."""
    mark = {"id": uuid.uuid4().hex, "kind": kind, "name": name, "made": dict(made or {})}
    return json.loads(json.dumps(mark))


def of(element: Any, name: str) -> dict[str, Any] | None:
    """The mark that an open element of this name carries."""
    from anndata import AnnData

    if isinstance(element, AnnData):
        try:
            mark = json.loads(str(element.uns.get(UNS)))
        except ValueError:
            return None
    else:
        mark = getattr(bearer(element), "attrs", {}).get(ATTRS)
    return mark if isinstance(mark, dict) and mark.get("name") == name else None


def attach(element: Any, mark: Mapping[str, Any]) -> None:
    """Put a mark on an open element."""
    from anndata import AnnData

    if isinstance(element, AnnData):
        element.uns[UNS] = json.dumps(mark)
    else:
        bearer(element).attrs[ATTRS] = dict(mark)


def bearer(element: Any) -> Any:
    """What carries the attributes: of a pyramid its finest level, as a crop keeps those of the levels only."""
    return element["scale0"]["image"] if hasattr(element, "children") else element


def on_disk(path: Path, kind: str, name: str) -> dict[str, Any] | None:
    """The mark that an element of a store carries."""
    try:
        mark = json.loads((path / kind / name / "zarr.json").read_bytes())["attributes"][ATTRS]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return mark if isinstance(mark, dict) and mark.get("name") == name else None


def stamp(path: Path, kind: str, name: str, mark: Mapping[str, Any]) -> None:
    """Put a mark on an element of a store that no process reads yet."""
    import zarr
    from anndata.io import write_elem

    group = zarr.open_group(path / kind / name, mode="r+", use_consolidated=False)
    if kind == "tables":
        write_elem(group.require_group("uns"), UNS, json.dumps(mark))
    group.attrs[ATTRS] = dict(mark)


def listed(kept: Mapping[str, Any], marks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Entries of ``attrs["stsr"]`` that list marks, after those it lists already, and the names of all elements."""
    written = {**kept.get(WRITTEN, {}), **marks}
    return {WRITTEN: written, ELEMENTS: sorted({*kept.get(ELEMENTS, []), *written})}


def same(mark: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two marks are of rasters with the same pixels, made from the same."""
    return mark.get("crc") is not None and all(mark.get(key) == other.get(key) for key in ("shape", "crc", "made"))


def holds(mark: Mapping[str, Any], element: Any) -> bool:
    """Whether a mark that an open element carries is still true: of a crop it is, of other pixels it is not."""
    seen = looks(element, mark["kind"], crc=False)
    if not seen or seen["shape"] != mark["shape"]:
        return True
    return mark["crc"] is None or mark["crc"] == looks(element, mark["kind"])["crc"]


def holds_for_copy(mark: Mapping[str, Any], kind: str, element: Any) -> bool:
    """Whether a mark of the list in ``attrs["stsr"]`` is of this element, which carries none itself."""
    if mark.get("kind") != kind or not (seen := looks(element, kind)):
        return False  # tables and shapes take their mark along
    if seen["shape"] == mark["shape"]:
        return mark["crc"] in (None, seen["crc"])
    return _cut_from(mark, kind, element)


def _cut_from(mark: Mapping[str, Any], kind: str, element: Any) -> bool:
    """Whether a raster is a crop of what a mark is of, written to a store: labels are compared pixel for pixel."""
    from spatialdata._io import get_dask_backing_files

    shape, of = bearer(element).shape, mark["shape"]
    cut = cuts(element)
    if not cut or len(shape) != len(of) or any(n > whole for n, whole in zip(shape, of, strict=True)):
        return False
    if kind == "images":
        return shape[0] == of[0] and bool(get_dask_backing_files(element))
    if mark.get("outline") is None:
        return False
    pixels, whole = np.asarray(bearer(element).data), _inside(mark)
    row, col = np.sum(cut, axis=0)
    near = range(-len(cut), 1)  # a crop may say that it begins a pixel further than it does; see stsr.spatial.crops
    corners = [(row + down, col + right) for down in near for right in near if row + down >= 0 and col + right >= 0]
    return any(
        np.array_equal(each[top : top + shape[0], left : left + shape[1]], pixels)
        for each in (whole, _numbered(whole))
        for top, left in corners
    )


def looks(element: Any, kind: str, *, crc: bool = True) -> dict[str, Any]:
    """Facts that identify a raster; empty for other elements.

    That is its size, a checksum unless it is a pyramid, and for masks and grids which pixels lie inside, as text.
    """
    if kind not in ("images", "labels"):
        return {}
    finest = bearer(element)
    found: dict[str, Any] = {"shape": list(finest.shape), "crc": None}
    if crc and finest is element:
        whole = kind == "labels" and finest.nbytes <= WHOLE
        middle = tuple(slice(max(0, (n - WINDOW) // 2), (n + WINDOW) // 2) for n in finest.shape[-2:])
        pixels = np.asarray(finest.data if whole else finest.data[(..., *middle)])
        found["crc"] = zlib.crc32(np.ascontiguousarray(pixels).tobytes())
        if whole:
            found["outline"] = _outline(pixels)
    return found


def _outline(labels: NDArray[Any]) -> str | None:
    """Which pixels of a mask or a grid lie inside; None of other labels, and where that takes much space."""
    inside = labels > 0
    if not (np.array_equal(labels, inside) or np.array_equal(labels, _numbered(inside))):
        return None
    text = base64.b64encode(zlib.compress(np.packbits(inside).tobytes(), 9)).decode()
    return text if len(text) <= LONGEST_OUTLINE else None


def _inside(mark: Mapping[str, Any]) -> NDArray[np.bool_]:
    """(rows, cols) mask of an outline."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(mark["outline"])), dtype=np.uint8)
    rows, cols = mark["shape"]
    return np.unpackbits(bits, count=rows * cols).reshape(rows, cols).astype(bool)


def _numbered(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The pixels inside, numbered from 1, as a grid numbers its cells."""
    return np.where(inside, np.cumsum(inside).reshape(inside.shape), 0)
