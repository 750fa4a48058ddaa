"""Simulate the spots of a coarser platform on a section of high resolution, and keep the truth beside them."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.constants import SPATIAL, microns
from stsr.geometry import Grid
from stsr.pp.slide import EFFICIENCY, Slide
from stsr.spatial import grid_to_labels, note, raw_counts, read_raster, record, spots_record, spots_table
from stsr.spatial.assemble import annotate, complete, disc_spots
from stsr.spatial.bins import rows_grid, table_grid
from stsr.spatial.names import check_dataset_id
from stsr.spatial.store import check_vacant, create_store

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)


def simulate_spots(
    sdata: SpatialData,
    *,
    table: str | None = None,
    diameter: float = 55.0,
    pitch: float = 100.0,
    layout: str = "hexagonal",
    angle: float = 0.0,
    jitter: float = 0.0,
    split: float | None = None,
    efficiency: float = 1.0,
    efficiency_sd: float = 0.0,
    diffusion: float = 0.0,
    min_coverage: float = 0.5,
    seed: int = 0,
    store: str | os.PathLike[str],
    dataset_id: str | None = None,
    overwrite: bool = False,
) -> SpatialData:
    """Make a section of spots, such as Visium's, from one of high resolution, with the truth beside it.

    A spot counts the molecules of all bins whose centre lies in its disc: all of them, to the molecule, unless
    ``split``, ``efficiency`` or ``diffusion`` say otherwise. No molecule is counted twice; those between the spots are
    lost, and the log says how many. The lattice lies in the middle of the grid's extent.

    Pass ``split=0.5`` to compare methods. Without it the truth holds the very molecules that the spots counted, so it has
    their counting noise too, and a method that copies the spots scores for that noise. No real section has such a truth.

    Parameters
    ----------
    sdata
        A section with counts in bins, such as from :func:`stsr.pp.read_visium_hd`. It is not changed.
    table
        Table with raw counts that annotates a grid; the section's own when None.
    diameter
        Of a spot, in µm.
    pitch
        µm between neighbouring spots, at least ``diameter``.
    layout
        ``"hexagonal"`` as Visium, or ``"square"`` as legacy Spatial Transcriptomics.
    angle
        Rotation of the lattice against the image in degrees, clockwise as seen in the image.
    jitter
        Standard deviation along each axis, in µm, by which spots are displaced from the lattice. Where displaced spots
        overlap, the one with the nearer centre gets the molecule.
    split
        Probability that a molecule of a bin goes to what the slide may catch; it goes to the truth otherwise. Both
        together are all molecules, to the last one, and none is in both. Given the expression, the two are independent
        where counts are Poisson's (see :func:`stsr.metrics.thin`), as those of two slides are. The share is above 0 and
        below 1. When None, the slide may catch all molecules and the truth holds all.
    efficiency
        Mean over the spots of the probability that a molecule on a spot is counted.
    efficiency_sd
        Standard deviation between spots of the logarithm of that probability, which is log-normal and the same for all
        genes of a spot; 0 to 3. On seven real sections, the variation of log total counts that spots do not share with
        their neighbours is between 0.0 and 0.45, with a median of 0.35 (``benchmarks/efficiency.py``); tissue that changes
        between neighbouring spots adds to it, so efficiencies differ by that at most. The mean stays ``efficiency``
        unless the best spots would then count more than there is: all are then lowered by one factor, so that the
        best spot counts all, and a warning tells the mean. Of 3,000 spots that differ by 0.3, it is 0.3 to 0.4 at most.
    diffusion
        Standard deviation along each axis, in µm, by which every molecule moves from the centre of its bin before it is
        caught. Takes about a second per million molecules.
    min_coverage
        Spots are kept that lie with at least this share of their area on bins of the table.
    seed
        Seed of all that is drawn. What goes to the truth is the same wherever the spots lie.
    store
        Where to write the zarr store of the new section.
    dataset_id
        Name of the new section; that of ``sdata`` with ``_spots`` at its end when None.
    overwrite
        Replace an existing store, once the new one is complete.

    Returns
    -------
    The new section, backed by the store: image and frame of ``sdata``, the spots as from :func:`stsr.pp.read_visium`, and
    the truth, which is the bins' table as ``truth_008um`` annotating the labels ``truth_grid_008um``. The names follow
    the size of the bins. ``sdata["truth_008um"]`` is what :func:`stsr.tl.evaluate` takes as ``truth``, and
    ``attrs["stsr"]["simulation"]`` holds the parameters. With ``split`` the truth has the counts that the slide was not
    offered, and of the bins' table only ``obs``, ``var`` and the centroids, since all else may stem from all molecules.
    With ``efficiency_sd`` the efficiency of each spot is ``sdata["table"].obs["efficiency"]``.

    Raises
    ------
    KeyError
        When ``table`` is not in ``sdata``; the message lists what is.
    ValueError
        When the table does not annotate a grid or does not hold raw counts, for spots that overlap or a parameter out of
        its range, when nothing is caught, or when ``store`` exists.

    Examples
    --------
    >>> import tempfile
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), n_genes=20)
    >>> coarse = stsr.pp.simulate_spots(
    ...     sdata,
    ...     table="truth_008um",
    ...     diameter=100,
    ...     pitch=200,
    ...     layout="square",
    ...     split=0.5,
    ...     store=f"{tempfile.mkdtemp()}/coarse.zarr",
    ... )
    >>> coarse["table"].shape
    (7, 20)
    >>> round(float(coarse["truth_008um"].X.sum() / sdata["truth_008um"].X.sum()), 1)
    0.5
    """
    from spatialdata.models import get_table_keys

    slide = Slide(
        diameter=diameter,
        pitch=pitch,
        layout=layout,
        angle=angle,
        jitter=jitter,
        split=split,
        efficiency=efficiency,
        efficiency_sd=efficiency_sd,
        diffusion=diffusion,
        min_coverage=min_coverage,
        seed=seed,
    )
    check_vacant(store, overwrite)
    facts = record(sdata)
    table = spots_record(sdata).table if table is None else table
    name = check_dataset_id(f"{facts.dataset_id}_spots" if dataset_id is None else dataset_id)
    grid, cells = _bins(sdata, table)
    bins = sdata.tables[table] if table != facts.table else spots_table(sdata)
    counts = raw_counts(bins, name=table)
    offered, kept = slide.parts(counts)
    spots = slide.spots(offered, grid, cells, bins.var, facts.mpp)
    _tell(spots, slide, table, molecules=_total(counts), offered=_total(offered))
    simulated = replace(
        facts,
        technology="simulated",
        dataset_id=name,
        coordinate_system=name,
        spot_size=diameter,
        image=f"{name}_full_image",
        spots=name,
        table="table",
    )
    section = disc_spots(spots, name, radius=diameter / facts.mpp / 2)
    labels = f"truth_grid_{microns(grid.bin_size)}"
    section[labels] = grid_to_labels(grid, simulated)
    truth = bins.copy() if split is None else _with_counts(bins, kept)
    section[f"truth_{microns(grid.bin_size)}"] = annotate(truth, labels, get_table_keys(bins)[2])
    complete(section, read_raster(sdata, facts.image).levels[0][0], simulated)
    note(section, patient=facts.patient, simulation={"dataset_id": facts.dataset_id, "table": table, **asdict(slide)})
    return create_store(section, store, overwrite=overwrite)


def _total(counts: Any) -> int:
    """Molecules in all."""
    return int(counts.sum(dtype=np.int64))


def _with_counts(bins: AnnData, counts: Any) -> AnnData:
    """The bins with other counts, and with nothing that was computed from those they had."""
    from anndata import AnnData

    obsm = {SPATIAL: bins.obsm[SPATIAL]} if SPATIAL in bins.obsm else None
    return AnnData(sp.csr_matrix(counts), obs=bins.obs.copy(), var=bins.var.copy(), obsm=obsm)


def _tell(spots: AnnData, slide: Slide, table: str, *, molecules: int, offered: int) -> None:
    """Log the molecules that the spots caught; an error when there are none."""
    caught = _total(spots.X)
    if caught == 0:
        raise ValueError(
            f"No spot caught any of the {offered} molecules of table={table!r} that it could; raise efficiency."
        )
    logger.info(
        "%d spots caught %d of the %d molecules of %s (%.1f %%); %s.",
        spots.n_obs,
        caught,
        molecules,
        table,
        100 * caught / molecules,
        "the others are lost" if slide.split is None else f"{molecules - offered} are the truth, the others are lost",
    )
    if EFFICIENCY in spots.obs and (mean := spots.obs[EFFICIENCY].mean()) < slide.efficiency * (1 - 1e-6):
        logger.warning(
            "efficiency=%g cannot be the mean of spots that differ by efficiency_sd=%g, since the best of them would count "
            "more than there is; it is %.3g, pass at most that to set it yourself.",
            slide.efficiency,
            slide.efficiency_sd,
            mean,
        )


def _bins(sdata: SpatialData, table: str) -> tuple[Grid, NDArray[np.int64]]:
    """The grid that a table annotates and the cell of each of its rows."""
    if table == spots_record(sdata).table:
        return rows_grid(sdata, spots_table(sdata), name=table)
    return table_grid(sdata, table)
