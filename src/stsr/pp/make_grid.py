"""The grid to predict on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.constants import TISSUE, grid_key
from stsr.geometry import Grid
from stsr.spatial import grid_to_labels, put, record, um_affine
from stsr.spatial.bins import bin_grid
from stsr.spatial.record import Record

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

SMALLEST, LARGEST = 2.0, 100.0
"""Bin sizes in µm that a spot's expression can be spread over with any meaning."""


def make_grid(
    sdata: SpatialData,
    *,
    bin_size: float = 8.0,
    tissue: str = TISSUE,
    angle: float = 0.0,
    like: AnnData | str | None = None,
    key_added: str | None = None,
    overwrite: bool = False,
) -> str:
    """Lay a regular grid over the tissue and add it as a labels element.

    Cells are squares; those whose centre lies on tissue are numbered 1, 2, ... row by row, all others are 0. The raster
    is cropped to the tissue; its place and rotation are in the element's transformation.

    Parameters
    ----------
    sdata
        A section read by stsr. Without a tissue mask, :func:`stsr.pp.calibrate_image` is run first.
    bin_size
        Side of a cell in µm, 2 to 100.
    tissue
        What is tissue: a labels element (anything but 0) or a shapes element (inside any polygon).
    angle
        Rotation of the grid against the image in degrees, clockwise as seen in the image.
    like
        Take exactly the bins of this table instead (``obs["array_row"]``, ``obs["array_col"]``, and
        ``obsm["spatial"]`` in pixels of the full-resolution image), for instance those of a Visium HD table: an
        AnnData or the name of a table in ``sdata``. Its counts are not looked at; ``bin_size``, ``tissue`` and
        ``angle`` play no part.
    key_added
        Name of the element; ``"grid_008um"`` for cells of 8 µm.
    overwrite
        Replace an element of that name.

    Returns
    -------
    The element's name.

    Raises
    ------
    KeyError
        When ``tissue`` or ``like`` is not in ``sdata``; the message lists what is.
    ValueError
        For a bin size out of range, when no cell lies on tissue, or for bins that are no regular grid.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> stsr.pp.make_grid(sdata, bin_size=16)
    'grid_016um'
    """
    facts = record(sdata)
    check_bin_size(bin_size)
    grid = _on_tissue(sdata, facts, bin_size, tissue, angle) if like is None else _of_table(sdata, facts, like)
    key = key_added or grid_key(grid.bin_size)
    put(sdata, key, grid_to_labels(grid, facts), overwrite=overwrite)
    logger.info("%s: %d cells of %.3g µm (%d x %d raster).", key, grid.n_cells, grid.bin_size, *grid.shape)
    return key


def default_grid(sdata: SpatialData, grid: str | None, bin_size: float) -> str:
    """Name of the grid asked for, that of ``bin_size`` when None; the latter is made when it is missing."""
    default = grid_key(bin_size)
    if (grid or default) == default and default not in sdata.labels:
        logger.info("No grid yet: make_grid runs with bin_size=%g.", bin_size)
        make_grid(sdata, bin_size=bin_size)
    return grid or default


def check_bin_size(bin_size: float) -> None:
    """Refuse a bin size that no grid can have.

    Raises
    ------
    ValueError
        When it is outside 2 to 100 µm.
    """
    if not SMALLEST <= bin_size <= LARGEST:
        raise ValueError(f"bin_size={bin_size} µm is outside {SMALLEST:g} to {LARGEST:g} µm; 8 is usual for Visium.")


def _of_table(sdata: SpatialData, facts: Record, like: AnnData | str) -> Grid:
    if isinstance(like, str):
        if like not in sdata.tables:
            raise KeyError(f"like={like!r} not found; sdata holds the tables {', '.join(sdata.tables) or 'none'}.")
        like = sdata.tables[like]
    return bin_grid(like, facts.mpp, name="like")[0]


def _on_tissue(sdata: SpatialData, facts: Record, bin_size: float, tissue: str, angle: float) -> Grid:
    if tissue == TISSUE and TISSUE not in sdata:
        from stsr.pp.calibrate_image import calibrate_image

        logger.info("No tissue mask yet: calibrate_image runs with its defaults.")
        calibrate_image(sdata)
    if tissue in sdata.labels:
        corners, inside = _labels_mask(sdata, facts, tissue)
    elif tissue in sdata.shapes:
        corners, inside = _shapes_mask(sdata, facts, tissue)
    else:
        known = ", ".join([*sdata.labels, *sdata.shapes]) or "none"
        raise KeyError(f"tissue={tissue!r} is no labels or shapes element; sdata holds {known}.")

    turn = np.deg2rad(angle)
    axes = bin_size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    index = corners @ np.linalg.inv(axes).T
    low = np.floor(index.min(axis=0) + 1e-6)
    cols, rows = (np.ceil(index.max(axis=0) - 1e-6) - low).astype(int)
    affine = np.eye(3)
    affine[:2, :2], affine[:2, 2] = axes, axes @ low
    everywhere = Grid(affine, np.ones((rows, cols), dtype=bool))
    mask = inside(everywhere.xy).reshape(rows, cols)
    if not mask.any():
        raise ValueError(f"tissue={tissue!r} covers no cell of {bin_size} µm; check the mask.")
    return Grid(affine, mask).cropped()


def _labels_mask(sdata: SpatialData, facts: Record, name: str):
    """Corners of the raster's bounding box in µm, and a test of points (n, 2) in µm."""
    from xarray import DataArray

    element = sdata.labels[name]
    if not isinstance(element, DataArray):
        element = next(iter(element["scale0"].values()))
    raster = np.asarray(element.data) > 0
    if not raster.any():
        raise ValueError(f"tissue={name!r} is empty; pass a mask with tissue in it.")
    to_um = um_affine(element, facts, name=name)
    to_pixel = np.linalg.inv(to_um)
    rows, cols = np.flatnonzero(raster.any(axis=1)), np.flatnonzero(raster.any(axis=0))
    box = [(x, y, 1) for x in (cols[0], cols[-1] + 1) for y in (rows[0], rows[-1] + 1)]

    def inside(xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        col, row = np.floor(xy @ to_pixel[:2, :2].T + to_pixel[:2, 2]).astype(np.int64).T
        on = (row >= 0) & (col >= 0) & (row < raster.shape[0]) & (col < raster.shape[1])
        on[on] = raster[row[on], col[on]]
        return on

    return (np.array(box) @ to_um.T)[:, :2], inside


def _shapes_mask(sdata: SpatialData, facts: Record, name: str):
    """As :func:`_labels_mask`, for polygons."""
    import shapely

    shapes = sdata.shapes[name]
    to_um = um_affine(shapes, facts, name=name)
    outline = shapes.geometry.buffer(shapes["radius"]) if "radius" in shapes else shapes.geometry
    area = shapely.affinity.affine_transform(outline.union_all(), [*to_um[:2, :2].ravel(), *to_um[:2, 2]])
    if area.is_empty or area.area == 0:
        raise ValueError(f"tissue={name!r} has no area; pass polygons.")
    shapely.prepare(area)
    x0, y0, x1, y1 = area.bounds
    return np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)]), lambda xy: shapely.contains_xy(area, xy[:, 0], xy[:, 1])
