"""Read a Visium section as Space Ranger leaves it."""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.geometry import nearest_pitch
from stsr.spatial.fullres import FullRes, open_fullres
from stsr.spatial.raster import image_pyramid
from stsr.spatial.record import Record, set_record
from stsr.spatial.scale import resolve_mpp
from stsr.spatial.section import raw_counts
from stsr.spatial.store import NAME, check_vacant, create_store

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
    from spatialdata.transformations import Identity

    folder = Path(path)
    _check_folder(folder)
    check_vacant(store, overwrite)
    image_path = _find_image(folder, fullres_image)
    dataset_id = _dataset_id(folder) if dataset_id is None else _checked_id(dataset_id)

    image = open_fullres(image_path)
    scalefactors = json.loads((folder / "spatial" / "scalefactors_json.json").read_text())
    _check_resolution(folder, image, image_path, scalefactors)
    sdata = _read_vendor(folder, dataset_id)
    spots = _spot_pixels(sdata, dataset_id)
    _check_inside(spots, image, image_path)
    resolved, source = resolve_mpp(PITCH / nearest_pitch(spots), stated=image.mpp, user=mpp)
    _check_spot_diameter(scalefactors, resolved)

    full_image = f"{dataset_id}_full_image"
    sdata[full_image] = image_pyramid(image.pixels, {dataset_id: Identity()})
    _register_globally(sdata, dataset_id)
    facts = Record(
        technology="visium",
        dataset_id=dataset_id,
        coordinate_system=dataset_id,
        mpp=resolved,
        mpp_source=source,
        spot_diameter=SPOT_DIAMETER,
        image=full_image,
        spots=dataset_id,
        table="table",
    )
    set_record(sdata, facts)
    n_spots, n_genes = sdata["table"].shape
    logger.info(
        "Read %s: %d spots x %d genes, %.4g µm per pixel (from the %s).", dataset_id, n_spots, n_genes, resolved, source
    )
    return create_store(sdata, store, overwrite=overwrite)


def _check_folder(folder: Path) -> None:
    wanted = [f"*{COUNTS}", "spatial/tissue_positions*.csv", "spatial/scalefactors_json.json"]
    for pattern in wanted:
        if not any(folder.glob(pattern)):
            raise FileNotFoundError(
                f"path={str(folder)!r} holds no {pattern.replace('*', '')}; pass the folder that Space Ranger made, "
                "usually called outs."
            )


def _find_image(folder: Path, fullres_image: str | os.PathLike[str]) -> Path:
    if not fullres_image:
        raise ValueError("fullres_image is empty; pass the H&E image that Space Ranger was given with --image.")
    for candidate in (Path(fullres_image), folder / fullres_image):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"fullres_image={str(fullres_image)!r} is neither in the working directory nor in {str(folder)!r}; pass the H&E "
        "image that Space Ranger was given with --image."
    )


def _dataset_id(folder: Path) -> str:
    """The folder's name, or its parent's when the folder is called ``outs``, in letters that elements may carry."""
    folder = folder.absolute()
    name = folder.parent.name if folder.name == "outs" else folder.name
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-") or "section"


def _checked_id(dataset_id: str) -> str:
    if not NAME.fullmatch(dataset_id):
        raise ValueError(f"dataset_id={dataset_id!r} cannot name elements; use letters, digits, '_', '-' and '.'.")
    return dataset_id


def _check_resolution(folder: Path, image: FullRes, image_path: Path, scalefactors: dict[str, float]) -> None:
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
                f"fullres_image={str(image_path)!r} is as small as spatial/{png.name} ({width} x {height} pixels); pass "
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
    repeated = [symbol for symbol, times in Counter(symbols).items() if times > 1]
    if repeated:
        logger.warning(
            "%d gene symbols occur more than once (%s, ...); all but the first get -1, -2, ... at their end.",
            len(repeated),
            ", ".join(repeated[:3]),
        )


def _spot_pixels(sdata: SpatialData, dataset_id: str) -> NDArray[np.float64]:
    """(spots, 2) centres (x, y) in full-resolution pixels."""
    geometry = sdata.shapes[dataset_id].geometry
    return np.column_stack([geometry.x, geometry.y])


def _check_inside(spots: NDArray[np.float64], image: FullRes, image_path: Path) -> None:
    _, height, width = image.pixels.shape
    outside = int(((spots < 0) | (spots > (width, height))).any(axis=1).sum())
    if outside:
        x, y = spots.max(axis=0)
        raise ValueError(
            f"fullres_image={str(image_path)!r} has {width} x {height} pixels, but {outside} of {len(spots)} spots lie "
            f"outside (up to x={x:.0f}, y={y:.0f}); pass the H&E image that Space Ranger was given with --image."
        )


def _check_spot_diameter(scalefactors: dict[str, float], mpp: float) -> None:
    """Say when the vendor's own spot diameter, 65 µm by convention, does not fit."""
    diameter = scalefactors.get("spot_diameter_fullres", 65 / mpp) * mpp
    report = logger.info if 50 <= diameter <= 75 else logger.warning
    report("The vendor's spot diameter is %.1f µm at this resolution (65 by convention).", diameter)


def _register_globally(sdata: SpatialData, coordinate_system: str) -> None:
    """Give every element a place in ``"global"`` too: readers leave it out and plotting needs it."""
    from spatialdata.transformations import get_transformation, set_transformation

    for _, _, element in sdata.gen_spatial_elements():
        set_transformation(element, get_transformation(element, coordinate_system), "global")
