"""The grids behind tables: of those that annotate a grid, and of those that only say where their bins lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.constants import ARRAY_COL, ARRAY_ROW, ATTRS, SPATIAL
from stsr.geometry import Grid, grid_of_bins
from stsr.spatial.grid import labels_to_grid

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
        When the table does not annotate a grid.
    """
    from spatialdata.models import get_table_keys

    if table not in sdata.tables:
        raise KeyError(f"table={table!r} not found; sdata holds the tables {', '.join(sdata.tables) or 'none'}.")
    adata = sdata.tables[table]
    region, _, instance = get_table_keys(adata) if "spatialdata_attrs" in adata.uns else (None, None, "")
    if not isinstance(region, str) or region not in sdata.labels:
        raise ValueError(
            f"table={table!r} annotates {region!r}, which is no grid of sdata; "
            f"pass one of {', '.join(result_tables(sdata)) or 'those stsr.tl.fit_super_resolution writes'}."
        )
    grid = labels_to_grid(sdata, region)
    cells = adata.obs[instance].to_numpy(dtype=np.int64) - 1
    if ((cells < 0) | (cells >= grid.n_cells)).any():
        raise ValueError(f"table={table!r} has {instance} values that are not among the labels of {region!r}.")
    return grid, cells


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
    if missing := [column for column in (ARRAY_ROW, ARRAY_COL) if column not in bins.obs]:
        raise ValueError(f"{name} lacks obs[{missing[0]!r}]; pass a table of bins with their row and column.")
    if SPATIAL not in bins.obsm:
        raise ValueError(f"{name} lacks obsm[{SPATIAL!r}]; pass a table of bins with their centroids in pixels.")
    rowcol = bins.obs[[ARRAY_ROW, ARRAY_COL]].to_numpy()
    try:
        return grid_of_bins(rowcol, np.asarray(bins.obsm[SPATIAL], dtype=np.float64)[:, :2] * mpp)
    except ValueError as error:
        raise ValueError(f"{name} does not lie on a grid of squares: {error}") from error
