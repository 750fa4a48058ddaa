"""A synthetic Visium section whose true expression is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.arguments import SEED
from stsr.constants import microns
from stsr.datasets._expression import count_bins, make_programs
from stsr.datasets._histology import render
from stsr.datasets._tissue import CELL_TYPES, TISSUES, make_tissue
from stsr.geometry import Disc, Grid
from stsr.options import Choice, Items, Number, Whole
from stsr.pp.slide import Slide
from stsr.spatial import Record, grid_to_labels
from stsr.spatial.assemble import complete, disc_spots
from stsr.spatial.grid_table import grid_table
from stsr.spatial.names import check_dataset_id
from stsr.spatial.store import check_vacant, create_store

if TYPE_CHECKING:
    from spatialdata import SpatialData

VISIUM = Slide(diameter=55.0, pitch=100.0)
"""Catches every molecule on its spots."""

VENDOR_DIAMETER = 65.0
"""Of a spot by the vendor's convention, in µm."""


def synthetic_section(
    *,
    size: tuple[float, float] = (2000.0, 2000.0),
    n_genes: int = 100,
    truth_bin: float = 8.0,
    mpp: float = 1.0,
    depth: float = 1500.0,
    tissue: str = "kidney",
    seed: int = 0,
    dataset_id: str = "synthetic",
    store: str | Path | None = None,
    overwrite: bool = False,
) -> SpatialData:
    """Make a section with H&E, Visium spots and the true counts of small bins: of kidney, or of tissue hard to see.

    The kidney is a cortex with glomeruli and packed tubules over a medulla with long ones, vessels and immune
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
    tissue
        ``"kidney"`` on glass; ``"crop"``, kidney that fills the image; ``"cores"``, kidney in round cores of a tissue
        microarray; or what is hard to tell from glass: ``"fat"``, large empty cells between thin septa; ``"stroma"``,
        smooth pale collagen; ``"brain"``, smooth paler neuropil with few nuclei; ``"necrosis"``, kidney of which more
        than half has lost its nuclei and structure.
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
    import dask.array as da
    import pandas as pd

    Choice(tuple(TISSUES))("tissue", tissue)
    Items(Number(400, 50_000), least=2, most=2)("size", size)
    n_genes = Whole(1, 50_000)("n_genes", n_genes)
    truth_bin = Number(2, 20)("truth_bin", truth_bin)
    mpp = Number(0.25, 2)("mpp", mpp)
    depth = Number(1, 1e6)("depth", depth)
    seed = SEED("seed", seed)
    check_dataset_id(dataset_id)
    if store is not None:
        check_vacant(store, overwrite)

    place, look, code, draw = np.random.SeedSequence(seed).spawn(4)
    block = max(1, round(truth_bin / 2))
    extent = (size[0] // truth_bin * truth_bin, size[1] // truth_bin * truth_bin)
    grown = make_tissue(extent, truth_bin / block, place, tissue)
    image = render(grown, (round(extent[1] / mpp), round(extent[0] / mpp)), mpp, look)
    programs = make_programs(n_genes, code)
    bins_of_spot = Disc(VISIUM.diameter).area / truth_bin**2
    mask, counts, composition = count_bins(grown, block, programs, depth / bins_of_spot, draw)

    record = Record(
        technology="visium",
        dataset_id=dataset_id,
        coordinate_system=dataset_id,
        mpp=float(mpp),
        mpp_source="synthetic",
        spot_size=VISIUM.diameter,
        image=f"{dataset_id}_full_image",
        spots=dataset_id,
        table="table",
    )
    grid = Grid(np.diag([truth_bin, truth_bin, 1.0]), mask)
    genes = pd.DataFrame({"marker_of": list(programs.marker_of)}, index=list(programs.genes))
    labels = f"truth_grid_{microns(truth_bin)}"
    truth = grid_table(sp.csr_matrix(counts), programs.genes, grid, region=labels, mpp=mpp)
    truth.var = genes
    truth.obs["cell_type"] = _dominant(composition)
    spots = VISIUM.spots(counts, grid, np.arange(grid.n_cells), genes, mpp)

    sdata = disc_spots(spots, dataset_id, radius=VENDOR_DIAMETER / mpp / 2)
    sdata[labels] = grid_to_labels(grid, record)
    sdata[f"truth_{microns(truth_bin)}"] = truth
    complete(sdata, da.from_array(image, chunks=(3, 1024, 1024)), record)
    return sdata if store is None else create_store(sdata, store, overwrite=overwrite)


def _dominant(composition: NDArray[np.float32]) -> Any:
    """Categorical with the cell type that gives most of each bin's RNA, ``"none"`` where no cell does."""
    import pandas as pd

    best = np.where(composition.any(axis=1), composition.argmax(axis=1), len(CELL_TYPES))
    return pd.Categorical.from_codes(best, categories=pd.Index([*CELL_TYPES, "none"]))
