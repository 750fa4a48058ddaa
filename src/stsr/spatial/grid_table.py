"""The table that annotates a grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.constants import ARRAY_COL, ARRAY_ROW, INSTANCE, REGION, SPATIAL
from stsr.geometry import Grid

if TYPE_CHECKING:
    from anndata import AnnData


def grid_table(values: Any, genes: Iterable[str], grid: Grid, *, region: str, mpp: float) -> AnnData:
    """A table with a row for every cell of a grid, in the order of the labels.

    Parameters
    ----------
    values
        (cells, genes) matrix of any kind that AnnData takes.
    genes
        Names of the columns.
    grid
        The grid.
    region
        Name of its labels element.
    mpp
        µm per pixel of the full-resolution image, for ``obsm["spatial"]``.
    """
    import pandas as pd
    from anndata import AnnData
    from spatialdata.models import TableModel

    n, ids = grid.n_cells, grid.known_as
    obs = pd.DataFrame(
        {
            REGION: pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), pd.Index([region])),
            INSTANCE: ids,
            ARRAY_ROW: grid.rowcol[:, 0].astype(np.int32),
            ARRAY_COL: grid.rowcol[:, 1].astype(np.int32),
        },
        index=pd.Index(ids).astype(str),
    )
    table = AnnData(values, obs=obs, var=pd.DataFrame(index=list(genes)), obsm={SPATIAL: grid.xy / mpp})
    return TableModel.parse(table, region=region, region_key=REGION, instance_key=INSTANCE)
