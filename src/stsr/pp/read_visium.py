"""Read a Visium section as Space Ranger leaves it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.constants import ARRAY_COL, ARRAY_ROW, SPATIAL
from stsr.pp._folder import as_folder
from stsr.pp._positions import INSIDE, X, Y, lattice_of, read_positions
from stsr.pp._reading import find_fullres, image_size, name_section, on_image, unique_symbols, write_section
from stsr.pp._reduced_images import add_reduced, refuse_reduced
from stsr.pp._scale_factors import DIAMETER, read_factors, refuse_reduced_positions
from stsr.pp._visium_files import VisiumFiles, find_visium
from stsr.pp.counts import read_counts
from stsr.spatial.assemble import SPOT_ID, disc_spots
from stsr.spatial.scale import check_mpp, resolve_mpp
from stsr.spatial.section import raw_counts
from stsr.spatial.store import check_vacant

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData

    from stsr.spatial.fullres import FullRes

logger = logging.getLogger(__name__)

PITCH = 100.0
"""µm between neighbouring spots of a Visium slide."""

SPOT_DIAMETER = 55.0
"""µm; what is printed."""

VENDOR_DIAMETER = 65.0
"""µm; what the vendor's files take a spot to measure."""

RUNS = 0.2
"""Share of the spots on which counts and positions may disagree about tissue before they are refused as those of two runs."""


def read_visium(
    path: str | os.PathLike[str],
    *,
    fullres_image: str | os.PathLike[str] | Any,
    store: str | os.PathLike[str],
    dataset_id: str | None = None,
    mpp: float | None = None,
    overwrite: bool = False,
) -> SpatialData:
    """Read a Visium section with its full-resolution H&E and keep it in a zarr store.

    µm per pixel comes from the 100 µm pitch of the slide, fitted to row and column of all places that it lists, in tissue
    or not, and is held against the resolution that the image file states. Only spots in tissue are kept, and of features
    only genes. Gene symbols that occur twice get ``-1``, ``-2``, ... at their end, and ``var["gene_ids"]`` tells them
    apart. A few spots beside the image are left out, and the log says which.

    Parameters
    ----------
    path
        Folder with ``filtered_feature_bc_matrix.h5`` and ``spatial/``, such as Space Ranger's ``outs``. Files may have a
        prefix, as in repositories, and the matrix may be the three text files ``matrix.mtx``, ``features.tsv`` and
        ``barcodes.tsv``, gzipped or not; files of two samples in one folder are refused.
    fullres_image
        The H&E image that Space Ranger was given: TIFF (any kind), PNG or JPEG, relative to the working directory or to
        ``path``; or an array, as of :func:`stsr.pp.from_image`. The images in ``spatial/`` are too coarse.
    store
        Where to write the zarr store.
    dataset_id
        Name of the section and of its coordinate system; the folder's name when None (its parent's for ``outs``).
    mpp
        µm per pixel of ``fullres_image``, to overrule the derived value; must agree with the pitch to 10 %.
    overwrite
        Replace an existing store, once the new one is complete.

    Returns
    -------
    The section, backed by the store: the image ``{dataset_id}_full_image`` (a pyramid), the spots ``{dataset_id}``,
    their counts ``table``, and the record ``attrs["stsr"]``.

    Raises
    ------
    FileNotFoundError
        When ``path`` lacks a file, or ``fullres_image`` is not there.
    ValueError
        When a file is damaged, or there are several of a kind; when ``fullres_image`` is one of the reduced images, no
        H&E, or does not hold the spots; when positions follow no lattice; when µm per pixel is implausible or its
        sources contradict each other; when the counts are not raw; when ``store`` exists.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import stsr
    >>> row, col = np.divmod(np.arange(12), 4)
    >>> rowcol = np.column_stack([row, 2 * col + row % 2])
    >>> folder = tempfile.TemporaryDirectory()
    >>> tiff = stsr.datasets.write_visium_folder(
    ...     folder.name,
    ...     counts=np.ones((12, 2), dtype=int),
    ...     genes=["UMOD", "NPHS2"],
    ...     xy=rowcol[:, ::-1] * (50, 86.6) + 100,
    ...     array_rowcol=rowcol,
    ...     image=np.full((500, 600, 3), 230, dtype=np.uint8),
    ...     mpp=1.0,
    ... )
    >>> sdata = stsr.pp.read_visium(
    ...     folder.name, fullres_image="he.tif", store=f"{folder.name}/kidney.zarr", dataset_id="kidney"
    ... )
    >>> round(sdata.attrs["stsr"]["mpp"], 2)
    1.0
    """
    check_mpp(mpp)
    files = find_visium(path)
    check_vacant(store, overwrite)
    image = find_fullres(as_folder(path), fullres_image)
    dataset_id = name_section(as_folder(path), dataset_id)
    factors = read_factors(files.factors)
    refuse_reduced(files.images, image, factors, discs=True)
    places = read_positions(files.positions)
    pitch = _pitch(files, places, image)
    refuse_reduced_positions(
        pitch,
        factors,
        where=f"path: the positions in {str(files.positions)!r}",
        remedy="take positions and scale factors from the same run.",
    )
    table = _spots(files, places, dataset_id)
    table = table[on_image(table.obsm[SPATIAL], table.obs_names, image)].copy()
    resolved, source = resolve_mpp(PITCH / pitch, stated=image.mpp, user=mpp)
    diameter = factors.get(DIAMETER, VENDOR_DIAMETER / resolved)

    sdata = disc_spots(table, dataset_id, radius=diameter / 2)
    add_reduced(sdata, files.images, factors, dataset_id)
    return write_section(
        sdata,
        image,
        technology="visium",
        dataset_id=dataset_id,
        mpp=resolved,
        mpp_source=source,
        spot_size=SPOT_DIAMETER,
        spots=dataset_id,
        table="table",
        store=store,
        overwrite=overwrite,
    )


def _pitch(files: VisiumFiles, places: pd.DataFrame, image: FullRes) -> float:
    """Pixels between neighbouring spots of the slide."""
    reason = "it lists one place."
    try:
        rowcol, xy, inside = places[[ARRAY_ROW, ARRAY_COL]], places[[X, Y]], places[INSIDE].to_numpy()
        lattice = lattice_of(rowcol, xy, inside, image_size(image), layout="hexagonal")
    except ValueError as error:
        lattice, reason = None, str(error)
    if lattice is None:
        raise ValueError(
            f"path: {str(files.positions)!r} describes no slide of spots, take the file that Space Ranger wrote: {reason}"
        )
    return lattice.pitch


def _spots(files: VisiumFiles, places: pd.DataFrame, dataset_id: str) -> AnnData:
    """The counts of the spots in tissue, with their places."""
    table = read_counts(files.counts)
    raw_counts(table, name="table")
    table.var_names = unique_symbols(table.var_names, source=f"path: {str(files.positions.parent.parent)!r}")
    row = places.index.get_indexer(table.obs_names)
    if lost := int((row < 0).sum()):
        raise ValueError(
            f"path={str(files.positions.parent.parent)!r} has {lost} barcodes without a position in "
            f"spatial/tissue_positions ({table.obs_names[row < 0][0]}, ...; positions are of {places.index[0]}, ...); take "
            "both from the same run."
        )
    here = places.iloc[row]
    inside = here[INSIDE].to_numpy()
    if not inside.any():
        raise ValueError(
            f"path: {str(files.positions)!r} lists no spot with counts as in tissue; take both from one run."
        )
    _tell_tissue(inside, int(places[INSIDE].sum()))
    table.obs[INSIDE] = inside.astype(np.int64)
    table.obs[[ARRAY_ROW, ARRAY_COL]] = here[[ARRAY_ROW, ARRAY_COL]].to_numpy(dtype=np.int64)
    table.obs[SPOT_ID] = np.arange(table.n_obs)
    table.obsm[SPATIAL] = here[[X, Y]].to_numpy(dtype=np.float64)
    table.uns[SPATIAL] = {dataset_id: {"metadata": table.uns.pop("metadata")}}
    return table[inside].copy()


def _tell_tissue(inside: Any, listed: int) -> None:
    """Say where counts and positions disagree about which spots lie on tissue; in one run they do not."""
    off, bare = int((~inside).sum()), listed - int(inside.sum())
    report = logger.warning if max(off, bare) > RUNS * max(len(inside), listed) else logger.info
    if off or bare:
        report(
            "Left out %d spots with counts that lie off tissue; %d places in tissue have no counts. In files of one run "
            "both are 0.",
            off,
            bare,
        )
