"""Simulate the spots of a coarser platform on a section of high resolution, and keep the truth beside them."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.constants import microns
from stsr.geometry import Grid
from stsr.pp._reading import check_dataset_id
from stsr.pp.slide import Slide
from stsr.spatial import grid_to_labels, note, raw_counts, read_raster, record, spots_record, spots_table
from stsr.spatial.assemble import annotate, complete, disc_spots
from stsr.spatial.bins import rows_grid, table_grid
from stsr.spatial.store import check_vacant, create_store

if TYPE_CHECKING:
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
    efficiency: float = 1.0,
    diffusion: float = 0.0,
    min_coverage: float = 0.5,
    seed: int = 0,
    store: str | os.PathLike[str],
    dataset_id: str | None = None,
    overwrite: bool = False,
) -> SpatialData:
    """Make a section of spots, such as Visium's, from one of high resolution, with the truth beside it.

    A spot counts the molecules of all bins whose centre lies in its disc: all of them, to the molecule, unless
    ``efficiency`` or ``diffusion`` say otherwise. No molecule is counted twice; those between the spots are lost, and
    the log says how many. The lattice lies in the middle of the grid's extent.

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
    efficiency
        Probability that a molecule on a spot is counted.
    diffusion
        Standard deviation along each axis, in µm, by which every molecule moves from the centre of its bin before it is
        caught. Takes about a second per million molecules.
    min_coverage
        Spots are kept that lie with at least this share of their area on bins of the table.
    seed
        Seed of jitter, efficiency and diffusion.
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
    ``attrs["stsr"]["simulation"]`` holds the parameters.

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
    ...     store=f"{tempfile.mkdtemp()}/coarse.zarr",
    ... )
    >>> coarse["table"].shape
    (7, 20)
    """
    from spatialdata.models import get_table_keys

    slide = Slide(diameter, pitch, layout, angle, jitter, efficiency, diffusion, min_coverage, seed)
    check_vacant(store, overwrite)
    facts = record(sdata)
    table = spots_record(sdata).table if table is None else table
    name = check_dataset_id(f"{facts.dataset_id}_spots" if dataset_id is None else dataset_id)
    grid, cells = _bins(sdata, table)
    bins = sdata.tables[table] if table != facts.table else spots_table(sdata)
    counts = raw_counts(bins, name=table)
    spots = slide.spots(counts, grid, cells, bins.var, facts.mpp)

    molecules, caught = int(counts.sum(dtype=np.int64)), int(spots.X.sum(dtype=np.int64))
    if caught == 0:
        raise ValueError(f"No spot caught any of the {molecules} molecules of table={table!r}; raise efficiency.")
    logger.info(
        "%d spots caught %d of the %d molecules of %s (%.1f %%); the others are lost.",
        spots.n_obs,
        caught,
        molecules,
        table,
        100 * caught / molecules,
    )
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
    section[f"truth_{microns(grid.bin_size)}"] = annotate(bins.copy(), labels, get_table_keys(bins)[2])
    complete(section, read_raster(sdata, facts.image).levels[0][0], simulated)
    note(section, simulation={"dataset_id": facts.dataset_id, "table": table, **asdict(slide)})
    return create_store(section, store, overwrite=overwrite)


def _bins(sdata: SpatialData, table: str) -> tuple[Grid, NDArray[np.int64]]:
    """The grid that a table annotates and the cell of each of its rows."""
    if table == spots_record(sdata).table:
        return rows_grid(sdata, spots_table(sdata), name=table)
    return table_grid(sdata, table)
