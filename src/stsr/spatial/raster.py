"""Image elements: pyramids written in bounded memory, and read as a :class:`~stsr.imaging.raster.Raster`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.imaging.raster import Raster
from stsr.spatial.channels import colours_of
from stsr.spatial.frames import um_affine
from stsr.spatial.record import record

if TYPE_CHECKING:
    from spatialdata import SpatialData
    from xarray import DataTree

TILE = 512
"""Side in pixels of the chunks that images are kept in."""

SMALLEST = 512
"""A pyramid ends with the first level whose longer side is at most this many pixels."""


def image_pyramid(pixels: Any, transformations: dict[str, Any]) -> DataTree:
    """A multi-scale RGB image element from a lazy array; each level is the mean of 2 x 2 pixels of the one before.

    Parameters
    ----------
    pixels
        (3, y, x) uint8 dask array. It is read once, tile by tile, when the element is written.
    transformations
        From the pixels of the finest level to coordinate systems, as SpatialData's models take them.
    """
    import dask.array as da
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import set_transformation
    from xarray import DataArray, Dataset, DataTree

    levels = [pixels.rechunk((3, TILE, TILE))]
    while max(levels[-1].shape[1:]) > SMALLEST:
        fine = levels[-1]
        # An odd last row or column is repeated, so that every level covers the whole image.
        even = da.pad(fine, [(0, 0), *((0, size % 2) for size in fine.shape[1:])], mode="edge")
        half = da.coarsen(np.mean, even.rechunk((3, TILE, TILE)), {1: 2, 2: 2})
        levels.append(da.rint(half).astype(np.uint8).rechunk((3, TILE, TILE)))
    tree = DataTree.from_dict(
        {
            f"scale{number}": Dataset(
                {"image": DataArray(level, dims=("c", "y", "x"), coords=_coordinates(level, levels[0]), name="image")}
            )
            for number, level in enumerate(levels)
        }
    )
    set_transformation(tree, transformations, set_all=True)
    Image2DModel().validate(tree)
    return tree


def _coordinates(level: Any, finest: Any) -> dict[str, Any]:
    """The middles of a level's pixels in those of the finest, as SpatialData's queries look for them."""
    sides = zip(("y", "x"), level.shape[1:], finest.shape[1:], strict=True)
    return {"c": ["r", "g", "b"]} | {axis: (np.arange(size) + 0.5) * (whole / size) for axis, size, whole in sides}


def read_raster(sdata: SpatialData, key: str) -> Raster:
    """An image element as a lazily read raster in µm; what is transparent is white.

    Raises
    ------
    KeyError
        When there is no image of that name; the message lists those there are.
    ValueError
        When the image is not in 8 bits, or its channels are not red, green and blue, with opacity or without.
    """
    from spatialdata.models import get_channel_names
    from xarray import DataTree

    if key not in sdata.images:
        raise KeyError(f"image={key!r} not found; sdata holds the images {', '.join(sdata.images) or 'none'}.")
    element = sdata.images[key]
    arrays = [scale["image"].data for scale in element.values()] if isinstance(element, DataTree) else [element.data]
    names = get_channel_names(element)
    colours = colours_of(names)
    if arrays[0].dtype != np.uint8 or colours is None:
        raise ValueError(
            f"image={key!r} is {arrays[0].dtype} with {len(names)} channels ({', '.join(map(str, names[:4]))}); an 8-bit "
            "RGB image is needed."
        )
    _, height, width = arrays[0].shape
    to_um = um_affine(element, record(sdata), name=key)
    return Raster(
        tuple((colours.lazy(a), to_um @ np.diag([width / a.shape[2], height / a.shape[1], 1.0])) for a in arrays)
    )
