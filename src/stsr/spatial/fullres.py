"""The full-resolution H&E as the microscope left it: opened lazily, whatever its format, as 8-bit RGB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stsr.spatial.channels import colours_of
from stsr.spatial.fullres_picture import open_picture, picture
from stsr.spatial.fullres_tiff import open_tiff
from stsr.spatial.image_errors import check_size, reading, refusal
from stsr.spatial.samples import GREY, Meaning, Samples
from stsr.spatial.transmitted import in_rgb

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF files begin, BigTIFF too."""

IN_8_BITS = (
    "pass (rows, columns, 3) uint8 values in which white is 255, such as np.uint8(255 * image) of values up to 1"
)
"""What to do with an array of other values."""


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


def fullres_of(image: Any) -> FullRes:
    """An image in memory: (y, x, 3) RGB, (y, x, 4) with opacity last, (y, x) grey, numpy or dask; or one of Pillow.

    Images of SpatialData say themselves where their channels are and, by their names, what.

    Raises
    ------
    ValueError
        When it is not 8-bit, of another shape, or no H&E.
    """
    import dask.array as da
    from PIL import Image
    from xarray import DataTree

    path = Path("array")
    if isinstance(image, Image.Image):
        return FullRes(path, picture(image, path), None)
    if isinstance(image, DataTree) and image.children:
        image = next(iter(next(iter(image.children.values())).values()))
    names = None
    if {"y", "x"} <= set(getattr(image, "dims", ())):
        names = image.coords["c"].values.tolist() if "c" in image.coords else None
        image = image.transpose("y", "x", ...).data
    if not isinstance(image, Sequence) and not hasattr(image, "shape"):
        raise ValueError(
            f"fullres_image={image!r:.60} is neither a path nor an image; pass the file of the H&E, or an array."
        )
    with reading(path, "is no array"):
        pixels = da.asarray(image)
    if pixels.ndim not in (2, 3):
        raise ValueError(f"fullres_image has shape {pixels.shape}; pass an RGB image as (rows, columns, 3).")
    meaning = _meaning(pixels, names)
    if pixels.dtype != np.uint8 or meaning is None:
        called = "" if names is None else f", of channels {', '.join(map(str, names[:4]))}"
        raise refusal(path, f"holds {' x '.join(map(str, pixels.shape))} {pixels.dtype} values{called}", IN_8_BITS)
    check_size(path, pixels.shape[1], pixels.shape[0], at_once=0)
    planes = pixels[None] if pixels.ndim == 2 else da.moveaxis(pixels, 2, 0)
    return FullRes(path, in_rgb(planes, meaning, path), None)


def _meaning(pixels: Any, names: list[object] | None) -> Meaning | None:
    """Of the samples of (y, x) or (y, x, samples) pixels; None when they are no colours."""
    if pixels.ndim == 2:
        return Meaning(Samples("grey"), False, doubt=GREY)
    colours = colours_of(names if names is not None else range(pixels.shape[2]))
    return None if colours is None else Meaning(colours)
