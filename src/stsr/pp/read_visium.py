"""Read a Visium section as Space Ranger leaves it."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import MPP
from stsr.geometry import nearest_pitch
from stsr.pp._reading import check_inside, find_fullres, name_section, tell_repeated_symbols, write_section
from stsr.spatial.fullres import FullRes
from stsr.spatial.scale import resolve_mpp
from stsr.spatial.section import raw_counts
from stsr.spatial.store import check_vacant

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

PITCH = 100.0
"""µm between neighbouring spots of a Visium slide."""

SPOT_DIAMETER = 55.0
"""µm; what is printed. The vendor's files follow a convention of 65."""

COUNTS = "filtered_feature_bc_matrix.h5"


def read_visium(
    path: str | os.PathLike[str],
    *,
    fullres_image: str | os.PathLike[str],
    store: str | os.PathLike[str],
    dataset_id: str | None = None,
    mpp: float | None = None,
    overwrite: bool = False,
) -> SpatialData:
    """Read a Visium section with its full-resolution H&E and keep it in a zarr store.

    µm per pixel comes from the 100 µm pitch of the spots, in full-resolution pixels, and is held against the
    resolution that the image file states. Only spots in tissue are kept. Gene symbols that occur twice get ``-1``,
    ``-2``, ... at their end, and ``var["gene_ids"]`` tells them apart.

    Parameters
    ----------
    path
        Folder with ``filtered_feature_bc_matrix.h5`` and ``spatial/``, such as Space Ranger's ``outs``.
    fullres_image
        The H&E image that Space Ranger was given: 8-bit RGB, TIFF (any kind), PNG or JPEG; relative to the working
        directory or to ``path``. The images in ``spatial/`` are too coarse.
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
        When ``fullres_image`` is one of the reduced images, not 8-bit RGB, or does not hold all spots; when µm per pixel
        is implausible or its sources contradict each other; when the counts are not raw; when ``store`` exists.

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
    folder = Path(path)
    MPP("mpp", mpp)
    _check_folder(folder)
    check_vacant(store, overwrite)
    image = find_fullres(folder, fullres_image)
    dataset_id = name_section(folder, dataset_id)
    scalefactors = json.loads((folder / "spatial" / "scalefactors_json.json").read_text())
    _check_resolution(folder, image, scalefactors)
    sdata = _read_vendor(folder, dataset_id)
    spots = _spot_pixels(sdata, dataset_id)
    check_inside(spots, image)
    resolved, source = resolve_mpp(PITCH / nearest_pitch(spots), stated=image.mpp, user=mpp)
    _check_spot_diameter(scalefactors, resolved)

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


def _check_folder(folder: Path) -> None:
    if any(folder.glob("binned_outputs/square_*um")) or any(folder.glob("spatial/tissue_positions.parquet")):
        raise ValueError(f"path={str(folder)!r} holds a Visium HD section; read it with stsr.pp.read_visium_hd.")
    wanted = [f"*{COUNTS}", "spatial/tissue_positions*.csv", "spatial/scalefactors_json.json"]
    for pattern in wanted:
        if not any(folder.glob(pattern)):
            raise FileNotFoundError(
                f"path={str(folder)!r} holds no {pattern.replace('*', '')}; pass the folder that Space Ranger made, "
                "usually called outs."
            )


def _check_resolution(folder: Path, image: FullRes, scalefactors: dict[str, float]) -> None:
    """Refuse the reduced images of the vendor, whatever they are called."""
    from PIL import Image

    _, height, width = image.pixels.shape
    for reduced in ("hires", "lowres"):
        png = folder / "spatial" / f"tissue_{reduced}_image.png"
        shrunk = scalefactors.get(f"tissue_{reduced}_scalef", 1.0) < 0.999
        if not shrunk or not png.exists():
            continue
        with Image.open(png) as opened:
            size = opened.size
        if size == (width, height):
            raise ValueError(
                f"fullres_image={str(image.path)!r} is as small as spatial/{png.name} ({width} x {height} pixels); pass "
                "the H&E image that Space Ranger was given with --image."
            )


def _read_vendor(folder: Path, dataset_id: str) -> SpatialData:
    """Everything but the full-resolution image, with only the spots in tissue.

    spatialdata-io would decode that image's whole page for each piece, and build its pyramid in float64.
    """
    from spatialdata_io import visium

    _tell_repeated_symbols(folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        warnings.filterwarnings("ignore", message="Converting `region_key")
        sdata = visium(folder, dataset_id=dataset_id)
    table = sdata.tables["table"]
    if lost := int(table.obs["in_tissue"].isna().sum()):
        raise ValueError(
            f"path={str(folder)!r} has {lost} barcodes without a position in spatial/tissue_positions; take both from the same run."
        )
    raw_counts(table, name="table")
    table = table[table.obs["in_tissue"] == 1].copy()
    shapes = sdata.shapes[dataset_id].loc[table.obs["spot_id"]]
    del sdata.tables["table"], sdata.shapes[dataset_id]
    sdata[dataset_id] = shapes
    sdata["table"] = table
    return sdata


def _tell_repeated_symbols(folder: Path) -> None:
    import h5py

    with h5py.File(next(folder.glob(f"*{COUNTS}"))) as file:
        features = file["matrix"].get("features", {})
        symbols = features["name"].asstr()[:] if "name" in features else []
    tell_repeated_symbols(symbols)


def _spot_pixels(sdata: SpatialData, dataset_id: str) -> NDArray[np.float64]:
    """(spots, 2) centres (x, y) in full-resolution pixels."""
    geometry = sdata.shapes[dataset_id].geometry
    return np.column_stack([geometry.x, geometry.y])


def _check_spot_diameter(scalefactors: dict[str, float], mpp: float) -> None:
    """Say when the vendor's own spot diameter, 65 µm by convention, does not fit."""
    diameter = scalefactors.get("spot_diameter_fullres", 65 / mpp) * mpp
    report = logger.info if 50 <= diameter <= 75 else logger.warning
    report("The vendor's spot diameter is %.1f µm at this resolution (65 by convention).", diameter)
