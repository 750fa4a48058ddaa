"""What stsr knows about a section, kept in ``sdata.attrs["stsr"]``."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from stsr.constants import ATTRS
from stsr.options import Number, Rule, Text
from stsr.spatial import marks
from stsr.spatial.errors import write_errors
from stsr.spatial.handle import adopt, refresh
from stsr.spatial.root import KINDS, check_same, local, merge, own
from stsr.spatial.transaction import locked, transaction

if TYPE_CHECKING:
    from spatialdata import SpatialData


NAMED = Text(1000)
RULES: dict[str, Rule] = {
    "mpp": Number(0.001, 1000),
    "spot_size": Number(0.001, 1e6, optional=True),
    "spots": Text(1000, optional=True),
    "table": Text(1000, optional=True),
    "patient": Text(1000, optional=True),
}
"""What the entries of a record may be, which a file of others may hold; all others are texts."""


@dataclass(frozen=True)
class Record:
    """The facts about a section that no vendor file keeps in one place.

    Parameters
    ----------
    technology
        What measured the spots, such as ``"visium"``.
    dataset_id
        Name of the section; the prefix of its elements.
    coordinate_system
        Coordinate system of the section: pixels of the full-resolution image.
    mpp
        µm per pixel of the full-resolution image.
    mpp_source
        Where ``mpp`` comes from: ``"pitch"``, ``"user"``, ...
    image
        Name of the full-resolution image.
    spot_size
        Diameter of a printed spot, or side of a bin, in µm.
    spots, table
        Names of the spots (shapes when they are discs, the labels of a grid when they are bins) and of the table with
        their counts. These two and ``spot_size`` are None in a section of which only the image is known.
    patient
        Name of the patient, where it is known and the same for all spots.
    """

    technology: str
    dataset_id: str
    coordinate_system: str
    mpp: float
    mpp_source: str
    image: str
    spot_size: float | None = None
    spots: str | None = None
    table: str | None = None
    patient: str | None = None


@dataclass(frozen=True)
class SpotsRecord(Record):
    """The record of a section that has spots."""

    spot_size: float
    spots: str
    table: str


def record(sdata: SpatialData) -> Record:
    """The record of a section.

    Raises
    ------
    ValueError
        When ``sdata`` was not made by one of stsr's readers, or its store was replaced by that of another section.
    FileNotFoundError
        When its store is gone.
    """
    return Record(**_kept(sdata))


def spots_record(sdata: SpatialData) -> SpotsRecord:
    """The record of a section that must have spots.

    Raises
    ------
    ValueError
        When it has none, or ``sdata`` was not made by one of stsr's readers.
    """
    kept = _kept(sdata)
    if kept["table"] is None:
        raise ValueError(
            f"section {kept['dataset_id']!r} has no spots, only an image; pass a section with counts, such as from "
            "stsr.pp.read_visium."
        )
    return SpotsRecord(**kept)


def _kept(sdata: SpatialData) -> dict[str, Any]:
    """What ``sdata.attrs`` holds of a record, after a look at the store."""
    check_object(sdata)
    refresh(sdata)
    kept = sdata.attrs.get(ATTRS, {})
    if not isinstance(kept, Mapping):
        raise ValueError(f"sdata.attrs[{ATTRS!r}] is damaged; read the section anew, as with stsr.pp.read_visium.")
    kept = {"patient": None, **kept}  # an older store does not say
    names = [field.name for field in fields(Record)]
    if missing := [name for name in names if name not in kept]:
        raise ValueError(
            f"sdata.attrs[{ATTRS!r}] does not hold {', '.join(missing)}; read the section with stsr.pp.read_visium first, "
            "and pass several sections as a list: spatialdata.concatenate drops what stsr knows of them."
        )
    return {name: RULES.get(name, NAMED)(f"sdata.attrs[{ATTRS!r}][{name!r}]", kept[name]) for name in names}


def check_object(sdata: SpatialData) -> None:
    """Refuse what is no SpatialData object.

    Raises
    ------
    ValueError
        The message says what to pass.
    """
    if not isinstance(getattr(sdata, "attrs", None), Mapping) or not hasattr(sdata, "tables"):
        raise ValueError(
            f"sdata is of type {type(sdata).__name__}, not a SpatialData object; pass a section that a reader such as "
            "stsr.pp.read_visium gives, or stsr.pp.from_anndata makes of a table."
        )


def set_record(sdata: SpatialData, record: Record) -> None:
    """Keep the record in ``sdata.attrs``, and on disk when ``sdata`` is backed."""
    note(sdata, **asdict(record))


def note(sdata: SpatialData, **entries: Any) -> None:
    """Add JSON entries to ``sdata.attrs["stsr"]``, and on disk when ``sdata`` is backed.

    What other processes added on disk is kept. Crops and copies that share ``sdata.attrs`` do not see the entries.

    Raises
    ------
    FileNotFoundError
        When the store is gone.
    ValueError
        When it was replaced by that of another section.
    OSError
        When it cannot be written.
    """
    if not sdata.is_backed():
        sdata.attrs = {**sdata.attrs, ATTRS: {**own(sdata.attrs), **deepcopy(entries)}}
        return
    path = local(sdata.path)
    check_same(sdata, path)
    with write_errors(path, "the record of the section"), transaction(path) as work, locked(path):
        check_same(sdata, path)
        adopt(sdata, merge(path, work, entries))


def made(sdata: SpatialData, name: str) -> dict[str, Any] | None:
    """What stsr made an element from, as JSON entries; None when stsr did not write it.

    An element that was replaced or changed by hand is not stsr's any more; a crop of one that stsr wrote still is.
    """
    mark = known(sdata, name)
    return None if mark is None else deepcopy(dict(mark["made"]))


def known(sdata: SpatialData, name: str) -> Mapping[str, Any] | None:
    """The mark of an element that stsr wrote; None of others. See :mod:`stsr.spatial.marks`."""
    refresh(sdata)
    if name not in sdata:
        path = local(sdata.path) if sdata.is_backed() else None
        found = (marks.on_disk(path, kind, name) for kind in KINDS) if path else ()
        return next(filter(None, found), None)
    element = sdata[name]
    if (mark := marks.of(element, name)) is not None:
        return mark if marks.holds(mark, element) else None
    kept = own(sdata.attrs)
    if (mark := kept.get(marks.WRITTEN, {}).get(name)) is not None:
        kind = next(kind for kind in KINDS if name in getattr(sdata, kind))
        return mark if marks.holds_for_copy(mark, kind, element) else None
    return _by_name(kept, name)


def _by_name(kept: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The mark of an element written by a version of stsr that kept nothing but names."""
    if name not in kept.get(marks.ELEMENTS, []):
        return None
    return {"made": kept.get("made", {}).get(name, {}) | kept.get("features", {}).get(name, {})}
