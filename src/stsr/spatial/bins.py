"""The grids of tables: of tables that annotate a grid, and of tables with positions of bins only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.constants import ARRAY_COL, ARRAY_ROW, ATTRS, SPATIAL
from stsr.geometry import Grid, grid_of_bins
from stsr.spatial.grid import labels_to_grid
from stsr.spatial.marks import UNS

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


def result_tables(sdata: SpatialData) -> list[str]:
    """Names of the tables with what a method has predicted."""
    return [name for name, table in sdata.tables.items() if "method" in table.uns.get(ATTRS, {})]


def table_grid(sdata: SpatialData, table: str) -> tuple[Grid, NDArray[np.int64]]:
    """The grid that a table annotates, and the 0-based cell of each of its rows.

    Raises
    ------
    KeyError
        When there is no such table; the message lists those there are.
    ValueError
        When the table does not annotate a grid, or annotates several elements.
    """
    if table not in sdata.tables:
        raise KeyError(f"table={table!r} not found; sdata holds the tables {', '.join(sdata.tables) or 'none'}.")
    return rows_grid(sdata, sdata.tables[table], name=table)


def rows_grid(sdata: SpatialData, rows: AnnData, *, name: str) -> tuple[Grid, NDArray[np.int64]]:
    """As :func:`table_grid` for some rows of a table called ``name``."""
    from spatialdata.models import get_table_keys

    region, instance = None, ""
    if "spatialdata_attrs" in rows.uns:
        _, column, instance = get_table_keys(rows)
        regions = [str(each) for each in rows.obs[column].unique()]
        if not regions:
            raise ValueError(f"table={name!r} has no rows; pass one with cells.")
        if len(regions) > 1:
            raise ValueError(
                f"table={name!r} annotates {len(regions)} elements, {', '.join(regions[:3])}; keep the rows of one in a "
                f"table of their own: sdata['one'] = sdata.subset([{regions[0]!r}])[{name!r}]."
            )
        (region,) = regions
    if region is None or region not in sdata.labels:
        raise ValueError(
            f"table={name!r} annotates {region!r}, which is no grid of sdata; "
            f"pass one of {', '.join(_on_grids(sdata)) or 'those stsr.tl.fit_super_resolution writes'}."
        )
    grid = labels_to_grid(sdata, region)
    ids = _numbers(rows, instance, name)
    cells = np.searchsorted(grid.known_as, ids)
    if not np.array_equal(grid.known_as.take(cells, mode="clip"), ids):
        raise ValueError(
            f"table={name!r} has {instance} values that are not among the labels of {region!r}, which may have been made "
            "anew since; make the table again with overwrite=True."
        )
    if len(np.unique(cells)) < len(cells):
        raise ValueError(
            f"table={name!r} has {len(cells) - len(np.unique(cells))} rows more than cells in {instance!r}: a cell may have "
            "one row; remove the others."
        )
    _check_places(rows, grid, cells, name, region)
    return grid, cells.astype(np.int64)


def _check_places(rows: AnnData, grid: Grid, cells: NDArray[np.int64], name: str, region: str) -> None:
    """Check that the cells of a table of stsr are still the same: a grid that was made again has other cells of these numbers."""
    if UNS not in rows.uns or not {ARRAY_ROW, ARRAY_COL} <= set(rows.obs):
        return
    places = rows.obs[[ARRAY_ROW, ARRAY_COL]].to_numpy()
    if places.dtype.kind not in "iuf":
        return
    apart = places - grid.rowcol[cells]  # of a crop the same for all
    if (apart != apart[:1]).any():
        raise ValueError(
            f"table={name!r} was made on {region!r} as it was before that grid was made anew; make the table again with "
            "overwrite=True."
        )


def _on_grids(sdata: SpatialData) -> list[str]:
    """The tables that annotate labels of ``sdata``: results, or all where there is none."""
    from spatialdata.models import get_table_keys

    def regions(table: AnnData) -> set[str]:
        return set(table.obs[get_table_keys(table)[1]].unique()) if "spatialdata_attrs" in table.uns else set()

    found = [name for name in sdata.tables if regions(sdata.tables[name]) & set(sdata.labels)]
    return [name for name in result_tables(sdata) if name in found] or found


def _numbers(rows: AnnData, instance: str, name: str) -> NDArray[np.int64]:
    """(rows,) labels in a column of ``obs``, whatever type holds them."""
    if instance not in rows.obs:
        raise ValueError(f"table={name!r} lacks obs[{instance!r}], which says which cell a row is; put it back.")
    column = np.asarray(rows.obs[instance])
    try:
        return column.astype(np.int64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"table={name!r} has values in obs[{instance!r}] that are no labels, such as {column[0]}; it must hold whole "
            "numbers."
        ) from error


def bin_grid(bins: AnnData, mpp: float, *, name: str) -> tuple[Grid, NDArray[np.int64]]:
    """The grid on which the rows of a table of bins lie, and the 0-based cell of each of them.

    Parameters
    ----------
    bins
        Table with ``obs["array_row"]``, ``obs["array_col"]`` and ``obsm["spatial"]`` in full-resolution pixels.
    mpp
        µm per pixel.
    name
        What messages call the table.

    Raises
    ------
    ValueError
        When one of the three is missing, or they do not make a regular grid.
    """
    if not hasattr(bins, "obsm"):
        raise ValueError(
            f"{name} is of type {type(bins).__name__}, not a table; pass an AnnData such as sdata['table']."
        )
    if missing := [column for column in (ARRAY_ROW, ARRAY_COL) if column not in bins.obs]:
        raise ValueError(f"{name} lacks obs[{missing[0]!r}]; pass a table of bins with their row and column.")
    if SPATIAL not in bins.obsm:
        raise ValueError(f"{name} lacks obsm[{SPATIAL!r}]; pass a table of bins with their centroids in pixels.")
    rowcol = bins.obs[[ARRAY_ROW, ARRAY_COL]].to_numpy()
    try:
        return grid_of_bins(rowcol, np.asarray(bins.obsm[SPATIAL], dtype=np.float64)[:, :2] * mpp)
    except ValueError as error:
        raise ValueError(f"{name} does not lie on a grid of squares: {error}") from error
