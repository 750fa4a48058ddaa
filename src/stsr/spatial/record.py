"""What stsr knows about a section, kept in ``sdata.attrs["stsr"]``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from stsr.constants import ATTRS

if TYPE_CHECKING:
    from spatialdata import SpatialData


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
    spot_size
        Diameter of a printed spot, or side of a bin, in µm.
    image, spots, table
        Names of the full-resolution image, of the spots (shapes when they are discs, the labels of a grid when they
        are bins) and of the table with their counts.
    """

    technology: str
    dataset_id: str
    coordinate_system: str
    mpp: float
    mpp_source: str
    spot_size: float
    image: str
    spots: str
    table: str


def record(sdata: SpatialData) -> Record:
    """The record of a section.

    Raises
    ------
    ValueError
        When ``sdata`` was not made by one of stsr's readers.
    """
    kept = sdata.attrs.get(ATTRS, {})
    names = [field.name for field in fields(Record)]
    if missing := [name for name in names if name not in kept]:
        raise ValueError(
            f"sdata.attrs[{ATTRS!r}] does not hold {', '.join(missing)}; read the section with stsr.pp.read_visium first."
        )
    return Record(**{name: kept[name] for name in names})


def set_record(sdata: SpatialData, record: Record) -> None:
    """Keep the record in ``sdata.attrs``, and on disk when ``sdata`` is backed."""
    note(sdata, **asdict(record))


def note(sdata: SpatialData, **entries: Any) -> None:
    """Add JSON entries to ``sdata.attrs["stsr"]``, and on disk when ``sdata`` is backed."""
    sdata.attrs[ATTRS] = {**sdata.attrs.get(ATTRS, {}), **entries}
    if sdata.is_backed():
        sdata.write_attrs()
