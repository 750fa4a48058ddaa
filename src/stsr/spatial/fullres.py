"""The full-resolution H&E as the microscope left it: opened lazily, whatever its format and axis order."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TILE = 1024
"""Side in pixels that pieces read at a time come close to."""

MICRONS = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""µm in a unit of OME metadata."""


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
    """Open an 8-bit RGB image: TIFF (tiled, in strips, pyramidal, BigTIFF, OME), PNG, JPEG or JPEG 2000.

    A TIFF is read piece by piece as its pixels are asked for; the other formats can only be decoded as a whole.

    Raises
    ------
    ValueError
        When the file is no image, or not 8-bit RGB.
    """
    import tifffile

    try:
        tiff = tifffile.TiffFile(path)
    except tifffile.TiffFileError:
        return FullRes(path, _as_rgb(*_decode(path), path), None)
    series = tiff.series[0]
    return FullRes(path, _as_rgb(_lazy(series), series.axes, path), _stated_mpp(tiff))


def fullres_of(array: Any) -> FullRes:
    """An image in memory, (y, x, 3 or 4) numpy or dask array.

    Raises
    ------
    ValueError
        When it is not 8-bit RGB.
    """
    import dask.array as da

    pixels = da.asarray(array)
    if pixels.ndim != 3:
        raise ValueError(f"fullres_image has shape {pixels.shape}; pass an RGB image as (rows, columns, 3).")
    return FullRes(Path("array"), _as_rgb(pixels, "YXS", Path("array")), None)


def _decode(path: Path) -> tuple[Any, str]:
    """A whole image, and its axes."""
    import dask.array as da
    import imagecodecs

    try:
        image = imagecodecs.imread(path)
    except ValueError as error:
        raise ValueError(f"fullres_image={str(path)!r} is not a TIFF, PNG or JPEG image.") from error
    return da.from_array(image, chunks=(TILE, TILE, -1)[: image.ndim], name=False), "YXS"[: image.ndim]


def _lazy(series: Any) -> Any:
    """The finest level of a TIFF series in pieces that are whole tiles or strips."""
    import dask.array as da
    import zarr

    stored = zarr.open_array(series.aszarr(level=0), mode="r")
    chunks = [min(size, piece * max(1, TILE // piece)) for size, piece in zip(stored.shape, stored.chunks, strict=True)]
    return da.from_zarr(stored, chunks=tuple(chunks))


def _as_rgb(pixels: Any, axes: str, path: Path) -> Any:
    """(3, y, x) uint8 from an array with named axes; an alpha channel is left out."""
    kept = [place for place, size in enumerate(pixels.shape) if size > 1 or axes[place] in "YX"]
    pixels, axes = pixels.squeeze(tuple(set(range(pixels.ndim)) - set(kept))), "".join(axes[place] for place in kept)
    channels = [place for place, axis in enumerate(axes) if axis not in "YX"]
    found = pixels.shape[channels[0]] if len(channels) == 1 else 1
    alpha = found == 4 and axes[channels[0]] == "S"
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or not (found == 3 or alpha):
        shape = " x ".join(map(str, pixels.shape))
        raise ValueError(
            f"fullres_image={str(path)!r} holds {shape} {pixels.dtype} values; save the H&E as an 8-bit RGB image."
        )
    return pixels.transpose(channels[0], axes.index("Y"), axes.index("X"))[:3]


def _stated_mpp(tiff: Any) -> float | None:
    """µm per pixel from OME metadata or from the resolution tags of a TIFF."""
    if tiff.is_ome:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
        if pixels is not None and "PhysicalSizeX" in pixels.attrib:
            unit = pixels.attrib.get("PhysicalSizeXUnit", "µm")
            return float(pixels.attrib["PhysicalSizeX"]) * MICRONS[unit] if unit in MICRONS else None
    page = tiff.pages[0]
    unit_um = {2: 25400.0, 3: 10000.0}.get(int(page.resolutionunit))
    dots = page.resolution[0]
    return unit_um / dots if unit_um and dots else None
