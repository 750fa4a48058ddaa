"""What all readers share: names, the H&E, the check that spots lie on it, and the store they write."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.spatial.fullres import FullRes, open_fullres
from stsr.spatial.raster import image_pyramid
from stsr.spatial.record import Record, set_record
from stsr.spatial.store import NAME, create_store

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)


def name_section(folder: Path, dataset_id: str | None) -> str:
    """The user's ``dataset_id``, or the folder's name (its parent's for ``outs``) in letters that elements may carry.

    Raises
    ------
    ValueError
        When ``dataset_id`` cannot name elements.
    """
    if dataset_id is None:
        folder = folder.absolute()
        name = folder.parent.name if folder.name == "outs" else folder.name
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-") or "section"
    if not NAME.fullmatch(dataset_id):
        raise ValueError(f"dataset_id={dataset_id!r} cannot name elements; use letters, digits, '_', '-' and '.'.")
    return dataset_id


def find_fullres(folder: Path, fullres_image: str | os.PathLike[str]) -> FullRes:
    """Open the H&E, named relative to the working directory or to the folder of the section.

    Raises
    ------
    FileNotFoundError
        When it is in neither.
    ValueError
        When it is not named, or not an 8-bit RGB image.
    """
    if not fullres_image:
        raise ValueError("fullres_image is empty; pass the full-resolution H&E that the spot positions belong to.")
    for candidate in (Path(fullres_image), folder / fullres_image):
        if candidate.is_file():
            return open_fullres(candidate)
    raise FileNotFoundError(
        f"fullres_image={str(fullres_image)!r} is neither in the working directory nor in {str(folder)!r}; pass the "
        "full-resolution H&E that the spot positions belong to."
    )


def check_inside(spots: NDArray[np.float64], image: FullRes) -> None:
    """Refuse an image that does not hold all spots (spots, 2), as (x, y) in its pixels."""
    _, height, width = image.pixels.shape
    outside = int(((spots < 0) | (spots > (width, height))).any(axis=1).sum())
    if outside:
        (x0, y0), (x1, y1) = spots.min(axis=0), spots.max(axis=0)
        raise ValueError(
            f"fullres_image={str(image.path)!r} has {width} x {height} pixels, but {outside} of {len(spots)} spots lie "
            f"outside (x={x0:.0f} to {x1:.0f}, y={y0:.0f} to {y1:.0f}); pass the full-resolution H&E that the spot "
            "positions belong to."
        )


def write_section(
    sdata: SpatialData,
    image: FullRes,
    *,
    technology: str,
    dataset_id: str,
    mpp: float,
    mpp_source: str,
    spot_size: float,
    spots: str,
    table: str,
    store: str | os.PathLike[str],
    overwrite: bool,
) -> SpatialData:
    """Add the H&E and the record to what a reader found, write it all to a store and open it from there.

    The elements of ``sdata`` are registered in the coordinate system ``dataset_id``, pixels of ``image``; what is not in
    ``"global"`` yet is registered there too, because plotting needs it.
    """
    from spatialdata.transformations import Identity, get_transformation, set_transformation

    full_image = f"{dataset_id}_full_image"
    sdata[full_image] = image_pyramid(image.pixels, {dataset_id: Identity()})
    for _, _, element in sdata.gen_spatial_elements():
        set_transformation(element, get_transformation(element, dataset_id), "global")
    facts = Record(
        technology=technology,
        dataset_id=dataset_id,
        coordinate_system=dataset_id,
        mpp=mpp,
        mpp_source=mpp_source,
        spot_size=spot_size,
        image=full_image,
        spots=spots,
        table=table,
    )
    set_record(sdata, facts)
    n_spots, n_genes = sdata[table].shape
    logger.info(
        "Read %s: %d spots x %d genes, %.4g µm per pixel (from the %s).", dataset_id, n_spots, n_genes, mpp, mpp_source
    )
    return create_store(sdata, store, overwrite=overwrite)


def circles(xy: NDArray[np.float64], radius: float, index: Any, dataset_id: str) -> Any:
    """The shapes element of spots at (spots, 2) pixels, with the radius in pixels and the given index."""
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    return ShapesModel.parse(xy, geometry=0, radius=radius, index=index, transformations={dataset_id: Identity()})
