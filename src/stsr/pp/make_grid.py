"""The grid to predict on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from stsr.arguments import ANGLE, BIN_SIZE
from stsr.constants import ARRAY_COL, ARRAY_ROW, IMAGE, TISSUE, grid_key
from stsr.geometry import Grid
from stsr.pp._tissue import add_tissue
from stsr.pp.calibrate_image import calibrate_image
from stsr.spatial import grid_to_labels, labels_to_grid, put, record
from stsr.spatial.area import TissueLike, given_area
from stsr.spatial.bins import bin_grid
from stsr.spatial.record import Record
from stsr.spatial.store import unless_made

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

USUAL = 8.0
"""Default bin size in µm."""

SAME = 0.001
"""Relative difference between two sizes that is none."""


def make_grid(
    sdata: SpatialData,
    *,
    bin_size: float | None = None,
    tissue: TissueLike = TISSUE,
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
        Side of a cell in µm, 2 to 100; 8 when None, or that of ``like``.
    tissue
        What is tissue: the name of a labels element (anything but 0) or of a shapes element (inside any polygon), an array
        of labels that covers the full-resolution image at any scale, or polygons in its pixels, as in
        :func:`stsr.pp.calibrate_image`.
    angle
        Rotation of the grid against the image in degrees, clockwise as seen in the image.
    like
        Take exactly these bins instead, for instance those of a Visium HD table: a table of bins
        (``obs["array_row"]``, ``obs["array_col"]``, and ``obsm["spatial"]`` in pixels of the full-resolution image),
        its name in ``sdata``, or the name of a grid (labels). Counts are not looked at; ``tissue`` and ``angle`` play
        no part. With a ``bin_size`` that divides theirs, each is cut into cells of that size; with a multiple of
        theirs, they are joined to cells that begin at multiples of it in the table's rows and columns, or at the corner
        of the labels.
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
        For a bin size out of range or at odds with that of ``like``, when no cell lies on tissue, or for bins that are
        no regular grid.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> stsr.pp.make_grid(sdata, bin_size=16)
    'grid_016um'
    >>> stsr.pp.make_grid(sdata, like="grid_016um", bin_size=4)
    'grid_004um'
    """
    facts = record(sdata)
    if bin_size is not None:
        bin_size = check_bin_size(bin_size)
    angle = ANGLE("angle", angle)
    if like is None:
        grid = _on_tissue(sdata, facts, bin_size or USUAL, tissue, angle)
    else:
        grid = _like(sdata, facts, like, bin_size)
    key = key_added or grid_key(grid.bin_size)
    put(sdata, key, grid_to_labels(grid, facts), overwrite=overwrite)
    logger.info("%s: %d cells of %.3g µm (%d x %d raster).", key, grid.n_cells, grid.bin_size, *grid.shape)
    return key


def default_grid(sdata: SpatialData, grid: str | None, bin_size: float) -> str:
    """Name of the grid asked for, that of ``bin_size`` when None; the latter is made when it is missing.

    Where bins of a grid were measured, it is made of them, so that each cell lies in one bin.
    """
    if grid is None:
        bin_size = check_bin_size(bin_size)
    default = grid_key(bin_size)
    if (grid or default) == default and default not in sdata.labels:
        facts = record(sdata)
        like = facts.table if facts.spots in sdata.labels else None
        logger.info("No grid yet: make_grid runs with bin_size=%g%s.", bin_size, f", like={like!r}" if like else "")
        unless_made(sdata, lambda: make_grid(sdata, bin_size=bin_size, like=like))
    return grid or default


def check_bin_size(bin_size: float) -> float:
    """The bin size; one that no grid can have is refused.

    Raises
    ------
    ValueError
        When it is outside 2 to 100 µm.
    """
    return float(BIN_SIZE("bin_size", bin_size))


def _like(sdata: SpatialData, facts: Record, like: AnnData | str, bin_size: float | None) -> Grid:
    first = (0, 0)
    if isinstance(like, str) and like in sdata.labels:
        bins = labels_to_grid(sdata, like)
    else:
        if isinstance(like, str):
            if like not in sdata.tables:
                known = ", ".join([*sdata.tables, *sdata.labels]) or "none"
                raise KeyError(f"like={like!r} is no table and no grid; sdata holds {known}.")
            like = sdata.tables[like]
        bins, _ = bin_grid(like, facts.mpp, name="like")
        first = (int(like.obs[ARRAY_ROW].min()), int(like.obs[ARRAY_COL].min()))
    return bins if bin_size is None else _resized(bins, bin_size, first)


def _resized(bins: Grid, bin_size: float, first: tuple[int, int]) -> Grid:
    """The grid of ``bins``, which begins at row and column ``first``, in cells of another size."""
    ratio = bin_size / bins.bin_size
    cut, joined = max(1, round(1 / ratio)), max(1, round(ratio))
    if abs(ratio * cut / joined - 1) > SAME:
        raise ValueError(
            f"bin_size={bin_size:g} µm neither divides the bins of like ({bins.bin_size:.4g} µm) nor is a multiple of "
            f"them; {bins.bin_size / (cut + 1):.4g}, {bins.bin_size:.4g} or {bins.bin_size * (joined + 1):.4g} would."
        )
    return bins.divided(cut) if cut > 1 else bins.pooled(joined, first=first)


def _on_tissue(sdata: SpatialData, facts: Record, bin_size: float, tissue: TissueLike, angle: float) -> Grid:
    if isinstance(tissue, str) and tissue == TISSUE and TISSUE not in sdata:
        if IMAGE in sdata.images:
            logger.info("The image is calibrated, but no tissue mask is there: it is made now.")
            add_tissue(sdata)
        else:
            logger.info("No tissue mask yet: calibrate_image runs with its defaults.")
            unless_made(sdata, lambda: calibrate_image(sdata))
    area = given_area(sdata, tissue)

    turn = np.deg2rad(angle)
    axes = bin_size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    index = area.corners @ np.linalg.inv(axes).T
    low = np.floor(index.min(axis=0) + 1e-6)
    cols, rows = (np.ceil(index.max(axis=0) - 1e-6) - low).astype(int)
    affine = np.eye(3)
    affine[:2, :2], affine[:2, 2] = axes, axes @ low
    everywhere = Grid(affine, np.ones((rows, cols), dtype=bool))
    mask = area.inside(everywhere.xy).reshape(rows, cols)
    if not mask.any():
        what = f"tissue={tissue!r}" if isinstance(tissue, str) else "the mask given as tissue"
        raise ValueError(f"{what} covers no cell of {bin_size} µm; check the mask.")
    return Grid(affine, mask).cropped()
