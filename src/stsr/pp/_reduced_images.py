"""The reduced images that Space Ranger leaves in ``spatial/``: kept beside the full one, and refused in its place."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.pp._scale_factors import REDUCED
from stsr.spatial.unreadable import reading

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from stsr.pp._visium_files import VisiumFiles
    from stsr.spatial.fullres import FullRes

logger = logging.getLogger(__name__)


def refuse_reduced(files: VisiumFiles, image: FullRes, factors: dict[str, float]) -> None:
    """Refuse the reduced images of the vendor as the full one, whatever they are called."""
    from PIL import Image

    _, height, width = image.pixels.shape
    for name, scale in REDUCED.items():
        png = files.reduced(name)
        if png is None or factors.get(scale, 1.0) >= 0.999:
            continue
        try:
            with reading(png, "an image"), Image.open(png) as opened:
                size = opened.size
        except (ValueError, OSError) as error:
            logger.warning("Passed over: %s", error)
            continue
        if size == (width, height):
            raise ValueError(
                f"fullres_image={str(image.path)!r} is as small as spatial/{png.name} ({width} x {height} pixels); pass "
                "the H&E image that Space Ranger was given with --image."
            )


def add_reduced(sdata: SpatialData, files: VisiumFiles, factors: dict[str, float], dataset_id: str) -> None:
    """Add the reduced images that can be read, in coordinate systems of their own to which the spots belong too."""
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Identity, Scale, set_transformation

    for name, key in REDUCED.items():
        scale, png = factors.get(key, 0.0), files.reduced(name)
        pixels = None if png is None or not scale else _pixels(png)
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
