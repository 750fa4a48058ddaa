"""Images that can only be decoded as a whole: PNG, JPEG, JPEG 2000, BMP, GIF and WebP."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.spatial.image_errors import check_size, reading, refusal
from stsr.spatial.orientation import ORIENTATION, upright
from stsr.spatial.samples import GREY, Meaning, Samples
from stsr.spatial.transmitted import in_rgb

FORMATS = ("PNG", "JPEG", "JPEG2000", "BMP", "GIF", "WEBP")
"""What Pillow is asked to read; its others run programs, or are no images of tissue."""

TILE = 1024
"""Side in pixels of the pieces that the image is passed on in."""


def open_picture(path: Path) -> Any:
    """(3, y, x) uint8 dask array of an image file.

    Raises
    ------
    ValueError
        When the file is no image, damaged, or no H&E.
    """
    from PIL import Image, UnidentifiedImageError

    if path.stat().st_size == 0:
        raise refusal(path, "is empty", "copy it once more")
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None  # Pillow's own is below the size of a common scan; check_size has ours
        with reading(path), Image.open(path, formats=FORMATS) as image:
            check_size(path, *image.size, at_once=image.width * image.height)
            return picture(image, path)
    except ValueError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise refusal(path, "is not a TIFF, PNG or JPEG image", "export the H&E as one") from error.__cause__
        raise
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def picture(image: Any, path: Path) -> Any:
    """(3, y, x) uint8 dask array of an image of Pillow, turned as its orientation tag says.

    Raises
    ------
    ValueError
        When it is no H&E.
    """
    import dask.array as da

    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # the second image of an MPO is a preview
        raise refusal(path, f"holds {image.n_frames} images one behind another, as a film does")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transparency given twice and of broken EXIF, which changes no pixel
        tag = image.getexif().get(ORIENTATION, 1)
        values, meaning = _decoded(image, path)
    pixels = da.from_array(values, chunks=(len(values), TILE, TILE), name=False)
    return upright(in_rgb(pixels, meaning, path), tag, path)


def _decoded(image: Any, path: Path) -> tuple[NDArray[Any], Meaning]:
    """(samples, y, x) values and what they mean."""
    mode = image.mode
    if mode == "1":
        raise refusal(path, "is black and white, 1 bit a pixel")
    if mode == "F":
        raise refusal(path, "holds float32 values")
    if mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)[None], Meaning(Samples("grey", top=2**16 - 1), False, doubt=GREY)
    if mode == "CMYK":
        return _planes(image), Meaning(Samples("cmyk", profile=image.info.get("icc_profile")))
    coloured = mode not in ("L", "LA", "La")
    samples, target = (Samples("rgb", alpha=3), "RGBA") if image.has_transparency_data else (Samples("rgb"), "RGB")
    planes = _planes(image if mode == target else image.convert(target))
    return planes, Meaning(samples, coloured, doubt="" if coloured else GREY)


def _planes(image: Any) -> NDArray[np.uint8]:
    """(samples, y, x)."""
    return np.moveaxis(np.asarray(image), -1, 0)
