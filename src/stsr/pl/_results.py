"""The tables that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stsr.arguments import NAME
from stsr.options import Items
from stsr.spatial import record
from stsr.spatial.bins import result_tables

if TYPE_CHECKING:
    from spatialdata import SpatialData


def choose_table(sdata: SpatialData, table: str | None) -> str:
    """The table asked for, or the only result."""
    record(sdata)
    if table is not None:
        if table not in sdata.tables:
            raise KeyError(f"table={table!r} not found; sdata holds the tables {', '.join(sdata.tables) or 'none'}.")
        return table
    results = result_tables(sdata)
    if len(results) != 1:
        found = f"sdata holds {', '.join(results)}; name one." if results else "run stsr.tl.fit_super_resolution first."
        raise ValueError(f"table is not given, and there is not exactly one result: {found}")
    return results[0]


def as_list(genes: str | Sequence[str]) -> list[str]:
    """One gene or several."""
    return list(Items(NAME, most=1000)("genes", [genes] if isinstance(genes, str) else genes))
