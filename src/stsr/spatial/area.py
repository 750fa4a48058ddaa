"""A mask that the user gives, whatever its form: which points lie in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stsr.spatial.frames import um_affine
from stsr.spatial.raster import read_raster
from stsr.spatial.record import record

if TYPE_CHECKING:
    from spatialdata import SpatialData

TissueLike: TypeAlias = str | NDArray[Any] | Any
"""A mask: the name of an element, an array of labels, or polygons (a GeoDataFrame, a GeoSeries or shapely geometries)."""


@dataclass(frozen=True, eq=False)
class Area:
    """A part of the plane.

    Parameters
    ----------
    corners
        (4, 2) corners in µm of a box around it, along the axes in which it was given.
    inside
        (points,) whether points (points, 2) in µm lie in it.
    """

    corners: NDArray[np.float64]
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]]


def given_area(sdata: SpatialData, tissue: TissueLike) -> Area:
    """The area of a mask.

    Parameters
    ----------
    sdata
        A section read by stsr.
    tissue
        Name of a labels element (anything but 0) or of a shapes element (inside any polygon); an array of labels (rows,
        cols) that covers the whole full-resolution image, at any scale; or polygons in pixels of that image.

    Raises
    ------
    KeyError
        For an unknown element; the message lists those there are.
    ValueError
        When the mask is empty, an array does not have the image's proportions, or it is none of the above.
    """
    if isinstance(tissue, str):
        return _of_element(sdata, tissue)
    if isinstance(tissue, np.ndarray):
        return _of_array(sdata, tissue)
    outline = _outline(tissue)
    return _of_outline(outline, np.diag([record(sdata).mpp, record(sdata).mpp, 1.0]), "the polygons given as tissue")


def _of_element(sdata: SpatialData, name: str) -> Area:
    from xarray import DataArray

    facts = record(sdata)
    if name in sdata.labels:
        element = sdata.labels[name]
        if not isinstance(element, DataArray):
            element = next(iter(element["scale0"].values()))
        return _of_raster(np.asarray(element.data), um_affine(element, facts, name=name), f"tissue={name!r}")
    if name in sdata.shapes:
        shapes = sdata.shapes[name]
        return _of_outline(_outline(shapes), um_affine(shapes, facts, name=name), f"tissue={name!r}")
    known = ", ".join([*sdata.labels, *sdata.shapes]) or "none"
    raise KeyError(f"tissue={name!r} is no labels or shapes element; sdata holds {known}.")


def _of_array(sdata: SpatialData, labels: NDArray[Any]) -> Area:
    raster = read_raster(sdata, record(sdata).image)
    pixels, to_um = raster.levels[0]
    size = np.array(pixels.shape[1:], dtype=np.float64)
    what = f"tissue, an array of shape {labels.shape},"
    if labels.ndim != 2 or labels.dtype.kind not in "buif" or not np.isfinite(labels).all():
        raise ValueError(f"{what} must hold numbers or truth values as (rows, cols), 0 off tissue.")
    # both axes must be scaled alike, give or take a pixel that was rounded up or down
    shape = np.array(labels.shape)
    if not len(labels) or (size / (shape + 1)).max() > (size / np.maximum(shape - 1, 1e-9)).min():
        raise ValueError(
            f"{what} does not have the proportions of the full-resolution image, {size[0]:.0f} x {size[1]:.0f} pixels; "
            "pass labels that cover that image, at any scale."
        )
    return _of_raster(labels, to_um @ np.diag([*(size / shape)[::-1], 1.0]), what)


def _of_raster(labels: NDArray[Any], to_um: NDArray[np.float64], what: str) -> Area:
    mask = labels > 0
    if not mask.any():
        raise ValueError(f"{what} is empty; pass a mask with tissue in it.")
    to_pixel = np.linalg.inv(to_um)
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [(x, y, 1) for x in (cols[0], cols[-1] + 1) for y in (rows[0], rows[-1] + 1)]

    def inside(xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        col, row = np.floor(xy @ to_pixel[:2, :2].T + to_pixel[:2, 2]).astype(np.int64).T
        on = (row >= 0) & (col >= 0) & (row < mask.shape[0]) & (col < mask.shape[1])
        on[on] = mask[row[on], col[on]]
        return on

    return Area((np.array(box) @ to_um.T)[:, :2], inside)


def _outline(polygons: Any) -> Any:
    """One geometry of many; circles get their radius."""
    import shapely

    if hasattr(polygons, "geometry"):  # of GeoPandas
        shapes = polygons.geometry
        circles = "radius" in getattr(polygons, "columns", ())
        outlines = (shapes.buffer(polygons["radius"]) if circles else shapes).to_numpy()
    else:
        outlines = np.atleast_1d(np.asarray(polygons, dtype=object))
        if not shapely.is_geometry(outlines).all() or not len(outlines):
            raise ValueError(
                f"tissue of type {type(polygons).__name__} is no mask; pass the name of a labels or shapes element, an "
                "array of labels, or polygons (a GeoDataFrame or shapely geometries)."
            )
    return shapely.union_all(shapely.make_valid(outlines, method="structure", keep_collapsed=False))


def _of_outline(outline: Any, to_um: NDArray[np.float64], what: str) -> Area:
    import shapely

    area = shapely.transform(outline, lambda xy: xy @ to_um[:2, :2].T + to_um[:2, 2])
    if area.is_empty or area.area == 0:
        raise ValueError(f"{what} has no area; pass polygons.")
    shapely.prepare(area)
    x0, y0, x1, y1 = area.bounds
    corners = np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)])
    return Area(corners, lambda xy: shapely.contains_xy(area, xy[:, 0], xy[:, 1]))
