"""Any section of single transcripts with its H&E, as a section whose spots are squares."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.arguments import MIN_QV
from stsr.constants import ATTRS, counts_key
from stsr.geometry import Grid
from stsr.options import Number
from stsr.pp._aligned_mpp import aligned_mpp
from stsr.pp._alignment import read_alignment
from stsr.pp._reading import find_fullres, name_section
from stsr.pp.bin_transcripts import bin_transcripts
from stsr.pp.make_grid import check_bin_size
from stsr.spatial import SpotsRecord, create_store, grid_to_labels, put
from stsr.spatial.assemble import complete
from stsr.spatial.fullres import FullRes
from stsr.spatial.points import Piece, choose_genes, find_transcripts
from stsr.spatial.store import check_vacant

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

LEAST = 0.5
"""Share of the transcripts that must lie on the H&E: most of them."""

PIXEL_SIZE = Number(1e-3, 1e3)
"""µm per unit of a coordinate system."""

WRITERS = 4
"""Partitions of transcripts written at a time; each takes about 1 GB while it is."""


def from_transcripts(
    sdata: SpatialData,
    *,
    fullres_image: str | os.PathLike[str] | Any,
    alignment: str | os.PathLike[str] | ArrayLike,
    pixel_size: float,
    coordinate_system: str = "global",
    points: str | Sequence[str] | None = None,
    feature_key: str | None = None,
    genes: Sequence[str] | None = None,
    bin_size: float = 16.0,
    min_qv: float | None = None,
    store: str | os.PathLike[str],
    dataset_id: str,
    overwrite: bool = False,
) -> SpatialData:
    """Bring a section of single transcripts and its H&E together, and bin the transcripts into squares.

    For what ``spatialdata_io.cosmx`` and ``spatialdata_io.merscope`` give, and any other SpatialData with transcripts;
    :func:`stsr.pp.read_xenium` reads a folder and comes here.

    The squares lie along the H&E, at whole multiples of ``bin_size`` from its corner, so that those of 16 µm hold four
    cells of a grid of 8 µm. They cover all transcripts that are counted and the holes between them, where nothing was
    counted; squares whose centre lies beside the H&E are left out.

    Parameters
    ----------
    sdata
        With the transcripts as points. It is not changed.
    fullres_image
        The H&E: TIFF (any kind), PNG or JPEG, or an array, as of :func:`stsr.pp.from_image`.
    alignment
        (3, 3) affine from pixels of ``fullres_image`` to ``coordinate_system``, or a CSV file that holds it. It may
        rotate and flip, and stretch by up to 2 %.
    pixel_size
        µm per unit of ``coordinate_system``: with ``"global"``, which is in pixels of the instrument's own image,
        .2125 for Xenium, .12 for CosMx and .108 for MERSCOPE; see the files of the run.
    coordinate_system
        The one that ``alignment`` leads to. Elements that are not registered in it are left out.
    points, feature_key, genes, min_qv
        As in :func:`stsr.pp.bin_transcripts`. CosMx and MERSCOPE give no quality.
    bin_size
        Side of the squares in µm, 2 to 100.
    store
        Where to write the zarr store.
    dataset_id
        Name of the section and of its coordinate system.
    overwrite
        Replace an existing store, once the new one is complete.

    Returns
    -------
    The section, backed by the store: the elements of ``sdata`` in pixels of the H&E, the image
    ``{dataset_id}_full_image`` (a pyramid), the squares ``{dataset_id}_square_016um``, their counts ``square_016um``,
    which are the spots of the section, and the record ``attrs["stsr"]``.

    Raises
    ------
    FileNotFoundError
        When ``fullres_image`` or ``alignment`` is not there.
    KeyError
        For unknown ``points``; the message lists those there are.
    ValueError
        When ``alignment`` is no affine, distorts, leads the other way round or to µm where the resolution that the file
        states proves it, or lays less than half of the transcripts on the H&E; when no transcript is counted; as
        :func:`stsr.pp.bin_transcripts`; or when ``store`` exists.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, pandas as pd
    >>> from PIL import Image
    >>> from spatialdata import SpatialData
    >>> from spatialdata.models import PointsModel
    >>> import stsr
    >>> molecules = pd.DataFrame({"x": np.arange(900.0), "y": np.arange(900.0), "target": ["UMOD", "NPHS2"] * 450})
    >>> sdata = SpatialData(points={"1_points": PointsModel.parse(molecules, feature_key="target")})
    >>> folder = tempfile.TemporaryDirectory()
    >>> Image.fromarray(np.full((220, 220, 3), 230, dtype=np.uint8)).save(f"{folder.name}/he.png")
    >>> section = stsr.pp.from_transcripts(
    ...     sdata,
    ...     fullres_image=f"{folder.name}/he.png",
    ...     alignment=np.diag([0.5 / 0.12, 0.5 / 0.12, 1]),
    ...     pixel_size=0.12,
    ...     store=f"{folder.name}/section.zarr",
    ...     dataset_id="cosmx",
    ... )
    >>> section["square_016um"].shape, int(section["square_016um"].X.sum())
    ((7, 2), 900)
    """
    import dask

    _check_input(sdata, coordinate_system, points=points, genes=genes)
    bin_size = check_bin_size(bin_size)
    pixel_size = PIXEL_SIZE("pixel_size", pixel_size)
    min_qv = MIN_QV("min_qv", min_qv)
    check_vacant(store, overwrite)
    dataset_id = name_section(Path(), dataset_id)
    image = find_fullres(None, fullres_image)
    to_section = read_alignment(alignment)
    mpp = aligned_mpp(to_section, pixel_size, image)
    facts = SpotsRecord(
        technology=sdata.attrs.get("spatialdata_io_reader", "transcripts"),
        dataset_id=dataset_id,
        coordinate_system=dataset_id,
        mpp=mpp,
        mpp_source="alignment",
        spot_size=float(bin_size),
        image=f"{dataset_id}_full_image",
        spots=f"{dataset_id}_{counts_key(bin_size)}",
        table=counts_key(bin_size),
    )
    section = _in_pixels(sdata, coordinate_system, np.linalg.inv(to_section), dataset_id)
    complete(section, image.pixels, facts)
    transcripts = find_transcripts(section, points, feature_key=feature_key, min_qv=min_qv)
    names = choose_genes(transcripts, genes)
    grid = _cover((piece for element in transcripts for piece in element.pieces(names, min_qv)), bin_size, image, mpp)
    put(section, facts.spots, grid_to_labels(grid, facts))
    bin_transcripts(section, facts.spots, points=points, min_qv=min_qv, feature_key=feature_key, genes=names)
    logger.info("Read %s: squares of %g µm, %.4g µm per pixel (from the alignment).", dataset_id, bin_size, mpp)
    with dask.config.set(num_workers=min(WRITERS, dask.system.CPU_COUNT)):
        return create_store(section, store, overwrite=overwrite)


def _check_input(sdata: object, coordinate_system: object, **names: object) -> None:
    """Refuse what no section has, before any file is opened; ``names`` are lists of them."""
    from spatialdata import SpatialData

    if not isinstance(sdata, SpatialData):
        raise ValueError(f"sdata is a {type(sdata).__name__}; pass a SpatialData object with transcripts as points.")
    if not isinstance(coordinate_system, str):
        raise ValueError(f"coordinate_system={coordinate_system!r} is no name of one.")
    for name, values in names.items():
        if isinstance(values, Sized) and not len(values):
            raise ValueError(f"{name} is empty; pass names, or None for all.")
    if isinstance(names["genes"], str | bytes):
        raise ValueError(f"genes={names['genes']!r} is a single name; pass a list of names.")


def _in_pixels(
    sdata: SpatialData, coordinate_system: str, to_pixels: NDArray[np.floating], dataset_id: str
) -> SpatialData:
    """A new object with the same elements, registered in pixels of the H&E."""
    from spatialdata import SpatialData
    from spatialdata.transformations import Affine, get_transformation, set_transformation

    if coordinate_system not in sdata.coordinate_systems:
        raise ValueError(
            f"coordinate_system={coordinate_system!r} is not one of sdata's: {', '.join(sdata.coordinate_systems)}."
        )
    section = SpatialData(attrs={key: value for key, value in sdata.attrs.items() if key != ATTRS})
    for _, name, element in sdata.gen_spatial_elements():
        placed = get_transformation(element, get_all=True).get(coordinate_system)
        if placed is None:
            logger.warning("%r is not in the coordinate system %r and is left out.", name, coordinate_system)
            continue
        affine = Affine(to_pixels @ placed.to_affine_matrix(("x", "y"), ("x", "y")), ("x", "y"), ("x", "y"))
        section[name] = element.copy(deep=False)  # the same data, with transformations of its own
        set_transformation(section[name], {dataset_id: affine}, set_all=True)
    for name, table in sdata.tables.items():
        section[name] = table
    return section


def _cover(pieces: Iterable[Piece], bin_size: float, image: FullRes, mpp: float) -> Grid:
    """The squares of the image that hold transcripts, and the holes between them."""
    import pandas as pd
    from scipy.ndimage import binary_fill_holes

    held = pd.DataFrame({"col": [], "row": [], "transcripts": []}, dtype=np.int64)
    for piece in pieces:
        colrow = np.floor(piece.xy[(piece.gene >= 0) & piece.good] / bin_size).astype(np.int64)
        found = pd.DataFrame(colrow, columns=["col", "row"]).value_counts().rename("transcripts").reset_index()
        held = pd.concat([held, found]).groupby(["col", "row"], as_index=False).sum()
    if held.empty:
        raise ValueError("no transcript of a gene reaches min_qv; lower it, or check genes and feature_key.")
    _, height, width = image.pixels.shape
    squares, transcripts = held[["col", "row"]].to_numpy(), held["transcripts"].to_numpy()
    centres = (squares + 0.5) * bin_size / mpp
    on = ((centres >= 0) & (centres < (width, height))).all(axis=1)
    total, off = int(transcripts.sum()), int(transcripts[~on].sum())
    if total - off < LEAST * total:
        low, high = centres.min(axis=0), centres.max(axis=0)
        raise ValueError(
            f"alignment maps the H&E off the section: {1 - off / total:.0%} of {total} transcripts lie on its {width} x "
            f"{height} pixels (they are at x={low[0]:.0f} to {high[0]:.0f}, y={low[1]:.0f} to {high[1]:.0f}); pass the "
            "matrix from pixels of this H&E to the section's coordinates."
        )
    if off:
        logger.warning(
            "%d of %d transcripts (%.2g %%) lie beside the H&E and are left out.", off, total, 100 * off / total
        )
    col, row = squares[on].T
    mask = np.zeros((row.max() + 1, col.max() + 1), dtype=bool)
    mask[row, col] = True
    return Grid(np.diag([bin_size, bin_size, 1.0]), binary_fill_holes(mask)).cropped()
