"""Sum the cells of a grid into regions of any shape."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stsr.constants import ATTRS, REGION, SD, SPATIAL
from stsr.metrics.intervals import sums_with_sd
from stsr.spatial import put, record
from stsr.spatial.bins import table_grid
from stsr.spatial.coverage import Regions, read_regions
from stsr.spatial.store import check_name
from stsr.spatial.tables import CHUNKS
from stsr.spatial.totals import expect_totals, set_totals, with_totals
from stsr.spatial.units import check_counts
from stsr.spatial.uns import plain_uns

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

INSTANCE_ID, AREA, COVERED = "instance_id", "area_um2", "covered"
"""``obs`` columns: id of the region in its element, its area, and the share of it that the table covers."""

WHOLLY = 0.99
"""Share of a region on the table's cells from which on it counts as wholly on them; for the log."""

BATCH_VALUES = 2**25
"""Values of a dense (cells, genes) matrix held at a time: 128 MB as float32."""


def aggregate(
    sdata: SpatialData,
    table: str = "sr_008um",
    *,
    by: str,
    layer: str | None = None,
    key_added: str | None = None,
    overwrite: bool = False,
) -> str:
    r"""Sum a table on a grid into cells, nuclei, annotations or spots, by area.

    The counts of a grid cell are spread evenly over it; a region gets the share of each cell that lies in it. Regions that
    tile the grid together hold all counts of the table; counts outside all regions are left out. Overlapping regions each
    get their full sum.

    Parameters
    ----------
    sdata
        A section read by stsr.
    table
        A table that annotates a grid: from :func:`stsr.tl.fit_super_resolution`, or measured counts of bins.
    by
        The regions: a shapes element (polygons, multipolygons or circles) or a labels element (such as a segmentation;
        of several scales the finest is taken). Polygons are cut exactly. The section's own spots count as discs of their
        printed size, whatever radius the vendor's file gives them. Labels are looked up at 5 x 5 to 16 x 16 points in
        each grid cell.
    layer
        Layer with the counts, where ``X`` holds something else; ``X`` when None.
    key_added
        Name of the new table; that of the two joined, such as ``"sr_008um_nuclei"``, when None.
    overwrite
        Replace a table of that name.

    Returns
    -------
    The new table's name. It annotates ``by`` and has a row for each region, in the element's order (labels ascending).
    ``X`` holds expected UMI counts per region, float32, sparse where the source is; sums of other values, such as another
    program's predictions, are marked as such in ``uns["stsr"]["units"]``. ``obs["area_um2"]`` is the region's
    area and ``obs["covered"]`` the share of it that lies on cells of the table; ``obsm["spatial"]`` are centroids in
    pixels of the full-resolution image. ``uns["stsr"]`` records its source.

    Where a dense source has ``layers["sd"]``, so has the sum. A cell's variance has two parts: that of counting, which is
    its expected count :math:`\mu`, and that of its rate. Counting is independent from cell to cell; errors of the rate are
    taken as fully correlated within a region, which is the conservative choice. With shares :math:`w`,

    .. math:: \sigma^2 = \sum w \mu + \Bigl(\sum w \sqrt{\max(\sigma_c^2 - \mu, 0)}\Bigr)^2 .

    Raises
    ------
    KeyError
        When ``table``, ``layer`` or ``by`` is not there; the message lists what is.
    ValueError
        When the table annotates no grid or was normalised or logged, ``by`` is not in the section's coordinate system, has
        invalid polygons or lies beside the table's cells, or when the new table exists.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=20)
    >>> stsr.tl.aggregate(sdata, "sr_008um", by="synthetic")
    'sr_008um_synthetic'
    >>> sdata["sr_008um_synthetic"].shape == (sdata["table"].n_obs, 20)
    True
    """
    facts = record(sdata)
    key = key_added or f"{table}_{by}"
    check_name(sdata, "tables", key, overwrite)
    grid, cells = table_grid(sdata, table)
    source = sdata.tables[table]
    known = check_counts(source, table, layer=layer)
    regions = read_regions(sdata, by, grid)
    shares = sp.csr_array(regions.shares[:, cells], dtype=np.float64)  # a region may hold a million cells
    if not shares.nnz:
        raise ValueError(f"by={by!r} shares no area with the cells of table={table!r}; check its transformation.")
    covered = shares.sum(axis=1) * grid.bin_size**2 / regions.area.clip(min=np.finfo(float).tiny)

    values = source.X if layer is None else source.layers[layer]
    sums = sp.csr_matrix(shares @ values, dtype=np.float32) if sp.issparse(values) else None
    result = _skeleton(source, regions, sums, mpp=facts.mpp, by=by)
    result.obs[COVERED] = covered.clip(max=1)
    units = "expected UMI counts" if known == "counts" else f"sums of {layer or 'X'} of {table}"
    result.uns[ATTRS] = plain_uns({"aggregated": table, "by": by, "units": f"{units} per region"})
    fill = None
    if sums is None:
        expect_totals(result)
        fill = with_totals(lambda open_: _fill(open_, source, values, shares))
    else:
        set_totals(result)
    put(sdata, key, result, overwrite=overwrite, fill=fill)
    logger.info(
        "%s: %d regions x %d genes; %d regions lie wholly on the table's cells, %d beside them.",
        key,
        *result.shape,
        int((covered > WHOLLY).sum()),
        int((covered == 0).sum()),
    )
    return key


def _skeleton(source: AnnData, regions: Regions, sums: Any, *, mpp: float, by: str) -> AnnData:
    """The table of sums, with dask arrays as placeholders for values that are written later."""
    import dask.array as da
    from anndata import AnnData
    from spatialdata.models import TableModel

    n = len(regions.ids)
    empty = da.zeros((n, source.n_vars), dtype=np.float32, chunks=(CHUNKS[0], -1))
    obs = pd.DataFrame(
        {
            REGION: pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), pd.Index([by])),
            INSTANCE_ID: regions.ids,
            AREA: regions.area,
        },
        index=pd.Index(regions.ids).astype(str),
    )
    table = AnnData(empty if sums is None else sums, obs=obs, var=source.var.copy())
    table.obsm[SPATIAL] = regions.xy / mpp
    if sums is None and SD in source.layers:
        table.layers[SD] = empty
    return TableModel.parse(table, region=by, region_key=REGION, instance_key=INSTANCE_ID)


def _fill(open_: Any, source: AnnData, values: Any, shares: sp.csr_array) -> None:
    """Sum one batch of genes after another, in whole chunks of both tables."""
    width = max(1, BATCH_VALUES // source.n_obs // CHUNKS[1]) * CHUNKS[1]
    for start in range(0, source.n_vars, width):
        genes = slice(start, start + width)
        mean = np.asarray(values[:, genes])
        if SD in source.layers:
            sums, sd = sums_with_sd(shares, mean, np.asarray(source.layers[SD][:, genes]))
            open_(f"layers/{SD}")[:, genes] = sd
        else:
            sums = shares @ mean
        open_("X")[:, genes] = sums
