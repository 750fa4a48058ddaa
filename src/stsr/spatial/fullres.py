"""The full-resolution H&E as the microscope left it: opened lazily, whatever its format, as 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stsr.spatial.fullres_picture import open_picture, picture
from stsr.spatial.fullres_tiff import open_tiff
from stsr.spatial.image_errors import check_size, reading, refusal
from stsr.spatial.samples import GREY, Meaning, Samples
from stsr.spatial.transmitted import in_rgb

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF files begin, BigTIFF too."""

SHAPES = {3: Meaning(Samples("rgb")), 4: Meaning(Samples("rgb", alpha=3))}
"""What the samples of an array are by their number: nothing else tells."""


@dataclass(frozen=True)
class FullRes:
    """An image file.

    Parameters
    ----------
    path
        The file.
    pixels
        (3, y, x) uint8 dask array.
    mpp
        µm per pixel that the file itself states; None when it states nothing.
    """

    path: Path
    pixels: Any
    mpp: float | None


def open_fullres(path: Path) -> FullRes:
    """Open an H&E: TIFF (tiled, in strips, pyramidal, BigTIFF, OME, of a scanner), PNG, JPEG, JPEG 2000, BMP or WebP.

    What samples mean comes from the file: CMYK, L*a*b*, YCbCr, palettes and 16 bits become 8-bit RGB, transparent parts
    become white, and the image is turned as its orientation tag says. Of several images in a TIFF it is the largest in
    colour. A TIFF is read piece by piece as its pixels are asked for; the other formats can only be decoded as a whole.

    Raises
    ------
    ValueError
        When the file is no image, is damaged, or shows no H&E: fluorescence, a depth stack, a film, black and white.
    """
    with reading(path), path.open("rb") as file:
        begins = file.read(4)
    if begins in TIFF:
        return FullRes(path, *open_tiff(path))
    return FullRes(path, open_picture(path), None)


def fullres_of(array: Any) -> FullRes:
    """An image in memory: (y, x, 3) RGB, (y, x, 4) with opacity last, (y, x) grey, numpy or dask; or one of Pillow.

    Raises
    ------
    ValueError
        When it is not 8-bit, of another shape, or no H&E.
    """
    import dask.array as da
    from PIL import Image

    path = Path("array")
    if isinstance(array, Image.Image):
        return FullRes(path, picture(array, path), None)
    if {"y", "x"} <= set(getattr(array, "dims", ())):
        array = array.transpose("y", "x", ...).data
    with reading(path, "is no array"):
        pixels = da.asarray(array)
    if pixels.ndim not in (2, 3):
        raise ValueError(f"fullres_image has shape {pixels.shape}; pass an RGB image as (rows, columns, 3).")
    meaning = SHAPES.get(pixels.shape[2]) if pixels.ndim == 3 else Meaning(Samples("grey"), False, doubt=GREY)
    if pixels.dtype != np.uint8 or meaning is None:
        raise refusal(path, f"holds {' x '.join(map(str, pixels.shape))} {pixels.dtype} values")
    check_size(path, pixels.shape[1], pixels.shape[0], at_once=0)
    planes = pixels[None] if pixels.ndim == 2 else da.moveaxis(pixels, 2, 0)
    return FullRes(path, in_rgb(planes, meaning, path), None)
