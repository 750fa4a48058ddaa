"""A synthetic Visium section whose true expression is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.constants import ARRAY_COL, ARRAY_ROW, INSTANCE, REGION, SPATIAL, microns
from stsr.datasets._expression import Programs, count_bins, make_programs
from stsr.datasets._histology import render
from stsr.datasets._tissue import CELL_TYPES, make_tissue
from stsr.geometry import Disc, Grid, footprint
from stsr.spatial import Record, grid_to_labels, image_pyramid, set_record
from stsr.spatial.store import check_vacant, create_store

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

PITCH, DIAMETER, VENDOR_DIAMETER = 100.0, 55.0, 65.0
"""Visium's lattice pitch, printed spot diameter and the spot diameter by the vendor's convention, µm."""


def synthetic_section(
    *,
    size: tuple[float, float] = (2000.0, 2000.0),
    n_genes: int = 100,
    truth_bin: float = 8.0,
    mpp: float = 1.0,
    depth: float = 1500.0,
    seed: int = 0,
    dataset_id: str = "synthetic",
    store: str | Path | None = None,
    overwrite: bool = False,
) -> SpatialData:
    """Make a kidney-like section with H&E, Visium spots and the true counts of small bins.

    The tissue is a cortex with glomeruli and packed tubules over a medulla with long ones, vessels and immune
    infiltrates, on bare glass. Every cell has a type that drives both its nucleus (size, shape, darkness) and its
    expression, so the image tells much about the genes, but not all: some types look alike, and some genes follow a
    smooth field that no image shows. The image is drawn from real stain vectors by Beer and Lambert's law [1]_. Counts
    of the truth bins are negative-binomial around log-normal programs of the cell types, with a depth that varies over
    the section. The counts of a spot are the exact sum of the truth bins whose centre lies in its disc of 55 µm.

    Parameters
    ----------
    size
        Width and height in µm, each 400 or more; rounded down to whole truth bins.
    n_genes
        Number of genes. Up to half of them, 24 at most, are markers of a cell type (``var["marker_of"]``).
    truth_bin
        Side of the truth bins in µm, 2 to 20.
    mpp
        µm per pixel of the full-resolution image, 0.25 to 2. The counts do not depend on it.
    depth
        Mean UMI counts of the area of a spot on tissue.
    seed
        The same seed gives the same section.
    dataset_id
        Name of the section: its coordinate system and the prefix of its elements.
    store
        Write the section to this zarr store and return it as read back; in memory when None.
    overwrite
        Replace the store when there is one.

    Returns
    -------
    The elements of a section from :func:`stsr.pp.read_visium` (full-resolution image, spots, table) and the truth: the
    table ``truth_008um`` (sparse counts; ``obs["cell_type"]`` the type that gives most of a bin's RNA) annotating the
    labels ``truth_grid_008um``. The names follow ``truth_bin``. ``sdata["truth_008um"]`` is what
    :func:`stsr.tl.evaluate` takes as ``truth``.

    Raises
    ------
    ValueError
        When a parameter is out of its range, or ``store`` exists and ``overwrite`` is False.

    References
    ----------
    .. [1] Ruifrok & Johnston (2001), Quantification of histochemical staining by color deconvolution. Analytical and
       Quantitative Cytology and Histology 23:291-299.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), n_genes=20)
    >>> sdata["truth_008um"].n_vars
    20
    >>> list(sdata["truth_008um"].var_names[:3])
    ['PODO1', 'ENDO1', 'PTUA1']
    """
    from spatialdata import SpatialData

    _check(size=size, n_genes=n_genes, truth_bin=truth_bin, mpp=mpp, depth=depth)
    if store is not None:
        check_vacant(Path(store), overwrite)

    place, look, code, draw = np.random.SeedSequence(seed).spawn(4)
    block = max(1, round(truth_bin / 2))
    extent = (size[0] // truth_bin * truth_bin, size[1] // truth_bin * truth_bin)
    tissue = make_tissue(extent, truth_bin / block, place)
    image = render(tissue, (round(extent[1] / mpp), round(extent[0] / mpp)), mpp, look)
    programs = make_programs(n_genes, code)
    disc_bins = np.pi * DIAMETER**2 / 4 / truth_bin**2
    mask, counts, composition = count_bins(tissue, block, programs, depth / disc_bins, draw)

    grid = Grid(np.diag([truth_bin, truth_bin, 1.0]), mask)
    rowcol, xy = _lattice(extent)
    under = footprint(grid, xy, Disc(DIAMETER), subsamples=1)
    on_tissue = under.sum(axis=1) >= 0.5 * disc_bins

    record = Record(
        technology="visium",
        dataset_id=dataset_id,
        coordinate_system=dataset_id,
        mpp=float(mpp),
        mpp_source="synthetic",
        spot_size=DIAMETER,
        image=f"{dataset_id}_full_image",
        spots=dataset_id,
        table="table",
    )
    spots = _table(sp.csr_array(under @ counts)[on_tissue], programs, rowcol[on_tissue], xy[on_tissue] / mpp)
    spots.obs_names = [f"SPOT{row:03d}x{col:03d}-1" for row, col in rowcol[on_tissue]]
    spots.obs.insert(0, "in_tissue", 1)
    truth = _table(counts, programs, grid.rowcol, grid.xy / mpp)
    truth.obs["cell_type"] = _dominant(composition)
    truth_name = f"truth_{microns(truth_bin)}"
    labels_name = f"truth_grid_{microns(truth_bin)}"

    sdata = SpatialData(
        images={record.image: _image(image, record)},
        labels={labels_name: grid_to_labels(grid, record)},
        shapes={record.spots: _circles(spots, record)},
        tables={
            record.table: _annotate(spots, record.spots, "spot_id", first=0),
            truth_name: _annotate(truth, labels_name, INSTANCE, first=1),
        },
    )
    set_record(sdata, record)
    return sdata if store is None else create_store(sdata, store, overwrite=overwrite)


def _check(*, size: tuple[float, float], n_genes: int, truth_bin: float, mpp: float, depth: float) -> None:
    """Refuse parameters out of range."""
    if min(size) < 400:
        raise ValueError(f"size={size} µm is too small for a few spots on tissue; take 400 µm or more each way.")
    for name, value, low, high in (
        ("n_genes", n_genes, 1, 50_000),
        ("truth_bin", truth_bin, 2, 20),
        ("mpp", mpp, 0.25, 2),
        ("depth", depth, 1, 1e6),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name}={value} is outside {low:g} to {high:g}; choose a value in that range.")


def _lattice(extent: tuple[float, float]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Visium's hexagonal lattice over (width, height) µm: (spots, 2) array row and column, and (spots, 2) µm.

    Rows are half a pitch apart in array columns, so even rows have even columns and odd rows odd ones.
    """
    step = np.array([PITCH / 2, PITCH * np.sqrt(3) / 2])
    n_cols, n_rows = ((np.array(extent) - DIAMETER) // step).astype(int) + 1
    row, col = (a.ravel() for a in np.mgrid[0:n_rows, 0:n_cols])
    rowcol = np.column_stack([row, col])[(row + col) % 2 == 0]
    margin = (np.array(extent) - step * [n_cols - 1, n_rows - 1]) / 2
    return rowcol, rowcol[:, ::-1] * step + margin


def _table(
    counts: sp.csr_array, programs: Programs, rowcol: NDArray[np.int64], xy_pixels: NDArray[np.float64]
) -> AnnData:
    """Counts with array positions and centroids in full-resolution pixels."""
    import pandas as pd
    from anndata import AnnData

    table = AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame({ARRAY_ROW: rowcol[:, 0], ARRAY_COL: rowcol[:, 1]}, index=np.arange(len(rowcol)).astype(str)),
        var=pd.DataFrame({"marker_of": list(programs.marker_of)}, index=list(programs.genes)),
    )
    table.obsm[SPATIAL] = xy_pixels
    return table


def _annotate(table: AnnData, region: str, instance_key: str, *, first: int) -> AnnData:
    """The table as an annotation of an element whose instances are numbered from ``first``."""
    import pandas as pd
    from spatialdata.models import TableModel

    table.obs[instance_key] = np.arange(first, first + table.n_obs)
    table.obs[REGION] = pd.Categorical([region] * table.n_obs)
    return TableModel.parse(table, region=region, region_key=REGION, instance_key=instance_key)


def _dominant(composition: NDArray[np.float32]) -> Any:
    """Categorical with the cell type that gives most of each bin's RNA, ``"none"`` where no cell does."""
    import pandas as pd

    best = np.where(composition.any(axis=1), composition.argmax(axis=1), len(CELL_TYPES))
    return pd.Categorical.from_codes(best, categories=pd.Index([*CELL_TYPES, "none"]))


def _image(image: NDArray[np.uint8], record: Record) -> Any:
    """The full-resolution image element."""
    import dask.array as da

    return image_pyramid(da.from_array(image, chunks=(3, 1024, 1024)), _in_pixels(record))


def _circles(spots: AnnData, record: Record) -> Any:
    """The spots' shapes element; its radius follows the vendor's convention, as in real folders."""
    import pandas as pd
    from spatialdata.models import ShapesModel

    return ShapesModel.parse(
        spots.obsm[SPATIAL],
        geometry=0,
        radius=VENDOR_DIAMETER / record.mpp / 2,
        index=pd.RangeIndex(spots.n_obs, name="spot_id"),
        transformations=_in_pixels(record),
    )


def _in_pixels(record: Record) -> dict[str, Any]:
    """Place of an element that is given in full-resolution pixels."""
    from spatialdata.transformations import Identity

    return {record.coordinate_system: Identity(), "global": Identity()}
