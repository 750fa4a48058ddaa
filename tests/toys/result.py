"""Results whose values are known, put into a section as tl.predict would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from spatialdata import SpatialData
from spatialdata.models import TableModel

from stsr.geometry import Grid
from stsr.spatial import grid_to_labels, labels_to_grid, put, record


def add_grid(sdata: SpatialData, grid: Grid, key: str = "grid_008um") -> Grid:
    """Add a grid and return it as it is read back."""
    put(sdata, key, grid_to_labels(grid, record(sdata)), overwrite=True)
    return labels_to_grid(sdata, key)


def add_result(
    sdata: SpatialData,
    values: Any,
    genes: Sequence[str],
    *,
    grid: str = "grid_008um",
    key: str = "sr_008um",
    **uns: Any,
) -> None:
    """Add a table (cells, genes) that annotates a grid."""
    cells = labels_to_grid(sdata, grid)
    obs = pd.DataFrame(
        {"region": pd.Categorical([grid] * cells.n_cells), "bin_id": np.arange(1, cells.n_cells + 1)},
        index=np.arange(1, cells.n_cells + 1).astype(str),
    )
    obs[["array_row", "array_col"]] = cells.rowcol
    table = ad.AnnData(values, obs=obs, var=pd.DataFrame(index=list(genes)), uns={"stsr": {"method": "toy", **uns}})
    table.obsm["spatial"] = cells.xy / record(sdata).mpp
    table = TableModel.parse(table, region=grid, region_key="region", instance_key="bin_id")
    put(sdata, key, table, overwrite=True)
