"""Take a section of which there is only an image."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from stsr.options import Number
from stsr.pp._reading import find_fullres, write_section
from stsr.spatial.names import check_dataset_id
from stsr.spatial.scale import PLAUSIBLE
from stsr.spatial.store import check_vacant

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from stsr.spatial.fullres import FullRes

logger = logging.getLogger(__name__)

APART = 0.05
"""Relative difference between the resolution given and that which the file states, above which the log says so."""


def from_image(
    fullres_image: str | os.PathLike[str] | Any,
    *,
    mpp: float,
    store: str | os.PathLike[str],
    dataset_id: str,
    overwrite: bool = False,
) -> SpatialData:
    """Make a section of an H&E alone, for a model that was fitted on others to predict, and keep it in a zarr store.

    It has no spots. :func:`stsr.tl.predict` takes it with every method that looks at the image alone, or at spots only
    where there are any; whatever asks for counts refuses it.

    Parameters
    ----------
    fullres_image
        The H&E: a file, TIFF (any kind), PNG or JPEG; or a uint8 array (rows, columns, 3), an image of Pillow or of a
        SpatialData object. What samples mean comes from the file: see the page on platforms.
    mpp
        µm per pixel of it. A file may state another, which is then logged; yours is used.
    store
        Where to write the zarr store.
    dataset_id
        Name of the section and of its coordinate system.
    overwrite
        Replace an existing store, once the new one is complete.

    Returns
    -------
    The section, backed by the store: the image as from :func:`stsr.pp.read_visium`, and nothing else.

    Raises
    ------
    FileNotFoundError
        When ``fullres_image`` is not there.
    ValueError
        For an image that is damaged or shows no H&E, a resolution that no microscope has, or when ``store`` exists.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, stsr
    >>> pixels = np.full((300, 400, 3), 230, dtype=np.uint8)
    >>> sdata = stsr.pp.from_image(pixels, mpp=2.0, store=f"{tempfile.mkdtemp()}/b.zarr", dataset_id="biopsy")
    >>> list(sdata.images), list(sdata.tables)
    (['biopsy_full_image'], [])
    """
    from spatialdata import SpatialData

    check_vacant(store, overwrite)
    dataset_id = check_dataset_id(dataset_id)
    low, high = PLAUSIBLE
    if not low <= Number()("mpp", mpp) <= high:
        raise ValueError(f"mpp={mpp} µm per pixel is outside {low} to {high}; a scanner's 20x objective has about 0.5.")
    image = find_fullres(None, fullres_image)
    _tell_apart(image, mpp)
    return write_section(
        SpatialData(),
        image,
        technology="image",
        dataset_id=dataset_id,
        mpp=float(mpp),
        mpp_source="user",
        store=store,
        overwrite=overwrite,
    )


def _tell_apart(image: FullRes, mpp: float) -> None:
    low, high = PLAUSIBLE
    if image.mpp is not None and low <= image.mpp <= high and abs(image.mpp / mpp - 1) > APART:
        logger.warning("%s states %.4g µm per pixel; mpp=%.4g is taken.", image.path.name, image.mpp, mpp)
