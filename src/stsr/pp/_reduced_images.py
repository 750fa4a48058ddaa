"""The reduced images that Space Ranger leaves in ``spatial/``: kept beside the full one, and refused in its place."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.pp._folder import Found, in_spatial
from stsr.pp._scale_factors import REDUCED
from stsr.spatial.unreadable import reading

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from stsr.spatial.fullres import FullRes

logger = logging.getLogger(__name__)


PICTURES = {
    "hires": r"(tissue_hires_image\.png|(aligned_fiducials|detected_tissue_image|aligned_tissue_image)\.jpe?g)",
    "lowres": r"tissue_lowres_image\.png",
}
"""Files of the size of each reduced image: itself, and what Space Ranger draws on it."""


def _pictures(folder: Found, pattern: str) -> list[Path]:
    """Files of these names that belong to the section in the folder: one prefix begins with the other."""
    found = in_spatial(folder.path, pattern)
    return [
        each.path for each in found if each.prefix.startswith(folder.prefix) or folder.prefix.startswith(each.prefix)
    ]


def refuse_reduced(folder: Found, image: FullRes, factors: dict[str, float], *, discs: bool) -> None:
    """Refuse the reduced images of the vendor as the full one, whatever they are called.

    Parameters
    ----------
    folder
        Of the section, and what stands before the names of its files.
    image
        What the user passed as the full one.
    factors
        The vendor's scale factors.
    discs
        Whether spots are discs, which can be read on the reduced image as an AnnData object.

    Raises
    ------
    ValueError
        When it is as small as a reduced one.
    """
    from PIL import Image

    _, height, width = image.pixels.shape
    for name, key in REDUCED.items():
        scale = factors.get(key, 1.0)
        for file in _pictures(folder, PICTURES[name]) if scale < 0.999 else ():
            try:
                with reading(file, "an image"), Image.open(file) as opened:
                    size = opened.size
            except (ValueError, OSError) as error:
                logger.warning("Passed over: %s", error)
                continue
            if size == (width, height):
                lost = (
                    f", or where that is lost this one to stsr.pp.from_anndata with positions times {key}={scale:.4g}"
                )
                raise ValueError(
                    f"fullres_image={str(image.path)!r} is as small as spatial/{file.name} ({width} x {height} pixels); "
                    f"pass the H&E image that Space Ranger was given with --image{lost * (discs and name == 'hires')}."
                )


def add_reduced(sdata: SpatialData, folder: Found, factors: dict[str, float], dataset_id: str) -> None:
    """Add the reduced images that can be read, in coordinate systems of their own to which the spots belong too."""
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Identity, Scale, set_transformation

    for name, key in REDUCED.items():
        scale, files = factors.get(key, 0.0), _pictures(folder, rf"tissue_{name}_image\.png")
        pixels = _pixels(files[0]) if files and scale else None
        if pixels is None:
            continue
        system, down = f"{dataset_id}_downscaled_{name}", Scale([scale, scale], axes=("y", "x"))
        sdata[f"{dataset_id}_{name}_image"] = Image2DModel.parse(
            pixels, dims=("c", "y", "x"), transformations={system: Identity(), dataset_id: down.inverse()}
        )
        set_transformation(sdata[dataset_id], down, system)


def _pixels(png: Path) -> Any:
    """(3, height, width) uint8; None, and a warning, when the file cannot be read."""
    from PIL import Image

    try:
        with reading(png, "an image"), Image.open(png) as opened:
            return np.asarray(opened.convert("RGB")).transpose(2, 0, 1)
    except (ValueError, OSError) as error:
        logger.warning("Left out: %s", error)
        return None
