"""Which cells of a grid lie in which regions of an element: polygons, circles, labels or the section's spots."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.geometry import Disc, Grid, footprint
from stsr.geometry.polygons import polygon_footprint
from stsr.spatial.crops import crops
from stsr.spatial.frames import um_affine
from stsr.spatial.grid import labels_to_grid
from stsr.spatial.record import Record, record, spots_record

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

CORNERS = 16
"""Corners of the polygon that stands for a quarter of a circle: its area is right to 0.2 %."""

FINENESS, FINEST = 5, 16
"""Fewest and most points across a cell at which labels are looked up."""

COARSE = 2.0
"""Pixel size of labels in µm above which there is a message when they may be one pixel off."""

VALUES = 2**21
"""Points at which labels are looked up together."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of an element, and what they share with a grid.

    Parameters
    ----------
    ids
        (regions,) index of the shapes, or the labels in ascending order.
    xy
        (regions, 2) centroids in µm.
    area
        (regions,) in µm², whether on the grid or not.
    shares
        (regions, cells) sparse float32: the share of each cell's area that lies in each region.
    """

    ids: NDArray[Any]
    xy: NDArray[np.float64]
    area: NDArray[np.float64]
    shares: sp.csr_array


def read_regions(sdata: SpatialData, by: str, grid: Grid) -> Regions:
    """The regions of a shapes or labels element on a grid.

    The section's own spots are discs of their printed size, as methods see them; other circles have the radius that the
    element gives them. Polygons are measured exactly, labels by looking them up at points of each cell, so that regions
    side by side share cells out completely.

    Raises
    ------
    KeyError
        When there is no such element; the message lists those there are.
    ValueError
        When the element is not in the section's coordinate system, has invalid polygons, or marks nothing.
    """
    facts = record(sdata)
    if by in sdata.shapes:
        shapes = sdata.shapes[by]
        to_um = um_affine(shapes, facts, name=by)
        if by == facts.spots:
            return _spots(shapes, to_um, grid, Disc(spots_record(sdata).spot_size))
        return _polygons(shapes, to_um, grid, by)
    if by in sdata.labels:
        return _labels(_finest(sdata.labels[by]).data, _labels_affine(sdata, by, facts), grid, by)
    known = ", ".join([*sdata.shapes, *sdata.labels]) or "none"
    raise KeyError(f"by={by!r} is no shapes or labels element; sdata holds {known}.")


def _labels_affine(sdata: SpatialData, by: str, facts: Record) -> NDArray[np.float64]:
    """(3, 3) matrix from a labels element's pixels to µm; a grid that was cropped lies where its tables say."""
    to_um = um_affine(sdata.labels[by], facts, name=by)
    if not crops(sdata.labels[by], facts.coordinate_system):
        return to_um
    try:
        return labels_to_grid(sdata, by).affine
    except ValueError:  # a segmentation, or a grid without a table
        pixel = float(np.sqrt(abs(np.linalg.det(to_um))))
        level = logging.WARNING if pixel > COARSE else logging.DEBUG
        logger.log(level, "by=%r was cropped by SpatialData, which may have put it one pixel, %.3g µm, off.", by, pixel)
        return to_um


def _spots(shapes: Any, to_um: NDArray[np.float64], grid: Grid, disc: Disc) -> Regions:
    xy = np.column_stack([shapes.geometry.x, shapes.geometry.y]) @ to_um[:2, :2].T + to_um[:2, 2]
    return Regions(shapes.index.to_numpy(), xy, np.full(len(xy), disc.area), footprint(grid, xy, disc))


def _polygons(shapes: Any, to_um: NDArray[np.float64], grid: Grid, name: str) -> Regions:
    import shapely

    outlines = shapes.geometry.to_numpy()
    if "radius" in shapes:
        outlines = shapely.buffer(outlines, shapes["radius"].to_numpy(), quad_segs=CORNERS)
    invalid = outlines[~shapely.is_valid(outlines)]
    if len(invalid):
        raise ValueError(
            f"by={name!r} has {len(invalid)} invalid polygons of {len(outlines)}, for instance: "
            f"{shapely.is_valid_reason(invalid[0])}; mend them with "
            f'sdata[{name!r}].geometry = sdata[{name!r}].make_valid(method="structure", keep_collapsed=False).'
        )
    outlines = shapely.transform(outlines, lambda xy: xy @ to_um[:2, :2].T + to_um[:2, 2])
    centres = shapely.centroid(outlines)
    edges, polygon = _edges(outlines)
    return Regions(
        ids=shapes.index.to_numpy(),
        xy=np.column_stack([shapely.get_x(centres), shapely.get_y(centres)]),
        area=shapely.area(outlines),
        shares=polygon_footprint(grid, edges, polygon, n_polygons=len(outlines)),
    )


def _edges(outlines: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(edges, 2, 2) edges of (multi)polygons with holes, and (edges,) the polygon that each belongs to."""
    import shapely

    parts, polygon = shapely.get_parts(shapely.orient_polygons(outlines), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    along = np.flatnonzero(ring[1:] == ring[:-1])
    return np.stack([xy[along], xy[along + 1]], axis=1), polygon[part[ring[along]]]


def _finest(labels: Any) -> Any:
    from xarray import DataArray

    return labels if isinstance(labels, DataArray) else next(iter(labels["scale0"].values()))


def _labels(raster: Any, to_um: NDArray[np.float64], grid: Grid, name: str) -> Regions:
    ids, pixels, centres = _census(raster)
    if not len(ids):
        raise ValueError(f"by={name!r} is empty; pass labels with regions in them.")
    pixel = float(abs(np.linalg.det(to_um)))
    return Regions(
        ids=ids,
        xy=centres @ to_um[:2, :2].T + to_um[:2, 2],
        area=pixels.astype(np.float64) * pixel,
        shares=_label_shares(raster, to_um, ids, grid, _fineness(grid.bin_size / np.sqrt(pixel))),
    )


def _census(raster: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(labels,) labels in ascending order, how many pixels each has, and (labels, 2) the middle of these (x, y)."""
    import dask.array as da
    import pandas as pd

    found = [pd.DataFrame({"label": np.empty(0, dtype=np.int64), "pixels": 0, "x": 0.0, "y": 0.0})]
    for rows, cols in da.core.slices_from_chunks(da.asarray(raster).chunks):
        part = np.asarray(raster[rows, cols])
        row, col = np.nonzero(part)
        code, label = pd.factorize(part[row, col].astype(np.int64))
        sums = {"x": np.bincount(code, cols.start + col + 0.5), "y": np.bincount(code, rows.start + row + 0.5)}
        found.append(pd.DataFrame({"label": label, "pixels": np.bincount(code), **sums}))
    total = pd.concat(found).groupby("label").sum()
    pixels = total["pixels"].to_numpy(dtype=np.int64)
    return total.index.to_numpy(), pixels, total[["x", "y"]].to_numpy() / pixels[:, None]


def _fineness(pixels: float) -> int:
    """Points across a cell of so many pixels' side: as many in each pixel, so that pixels in step with cells are exact."""
    whole = max(1, round(pixels))
    return min(whole * int(np.ceil(FINENESS / whole)), FINEST)


def _label_shares(
    raster: Any, to_um: NDArray[np.float64], ids: NDArray[np.int64], grid: Grid, across: int
) -> sp.csr_array:
    """(labels, cells) shares, measured on ``across x across`` points of each cell."""
    to_pixel = np.linalg.inv(to_um)
    steps = (np.arange(across) + 0.5) / across
    points = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    side = max(1, int(np.sqrt(VALUES / len(points))))
    shares = sp.csr_array((len(ids), grid.n_cells), dtype=np.float32)
    for top, left in product(range(0, grid.shape[0], side), range(0, grid.shape[1], side)):
        cell = grid.labels[top : top + side, left : left + side]
        rowcol = np.argwhere(cell)
        colrow = rowcol[:, None, ::-1] + (left, top) + points
        label = _look_up(raster, grid.to_um(colrow) @ to_pixel[:2, :2].T + to_pixel[:2, 2])
        on, point = np.nonzero(label)
        where = (np.searchsorted(ids, label[on, point]), cell[tuple(rowcol[on].T)].astype(np.int64) - 1)
        counted = sp.csr_array((np.ones(len(on)), where), shape=shares.shape)
        shares = shares + (counted / len(points)).astype(np.float32)
    return sp.csr_array(shares)


def _look_up(raster: Any, xy: NDArray[np.float64]) -> NDArray[np.int64]:
    """(...) labels at points (..., 2) in pixels; 0 outside the raster."""
    col, row = (np.floor(xy[..., axis]).astype(np.int64) for axis in (0, 1))
    inside = (row >= 0) & (row < raster.shape[0]) & (col >= 0) & (col < raster.shape[1])
    if not inside.any():
        return np.zeros(inside.shape, dtype=np.int64)
    col, row = col.clip(0, raster.shape[1] - 1), row.clip(0, raster.shape[0] - 1)
    left, top = col.min(), row.min()
    window = np.asarray(raster[top : row.max() + 1, left : col.max() + 1])
    return window[row - top, col - left].astype(np.int64) * inside
