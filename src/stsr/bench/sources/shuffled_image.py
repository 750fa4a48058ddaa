"""The control image: an H&E with permuted blocks, which shows tissue, but not that of the spots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import IMAGE, TISSUE
from stsr.imaging.raster import Raster
from stsr.spatial import image_pyramid, put, read_raster, record, transformations, um_affine

if TYPE_CHECKING:
    from spatialdata import SpatialData

BLOCK = 100.0
"""Side of a block in µm: about the pitch of Visium, and the field of view of image features."""

CHUNK_BLOCKS = 8
"""Side in blocks of a chunk of the image; chunks are written one at a time."""

MIN_TISSUE = 0.5
"""Share of tissue from which on a block is permuted."""

POINTS = 5
"""Points along the side of a block at which tissue is looked up."""


def shuffle_image(sdata: SpatialData, *, seed: int = 0) -> None:
    """Permute the blocks of the calibrated H&E that are at least half tissue; bare glass and the edges stay."""
    raster = read_raster(sdata, IMAGE)
    side = round(BLOCK / raster.mpp)
    _, height, width = raster.levels[0][0].shape
    home = permuted_blocks(_tissue_share(sdata, raster, side, (height // side, width // side)) >= MIN_TISSUE, seed)
    pixels = _moved(raster.levels[0][0], home, side)
    place = transformations(raster.levels[0][1], record(sdata))
    put(sdata, IMAGE, image_pyramid(pixels, place), overwrite=True)


def permuted_blocks(tissue: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """(rows, cols) number of the block that moves to each place; only those on tissue (rows, cols) are permuted."""
    home = np.arange(tissue.size).reshape(tissue.shape)
    home[tissue] = np.random.default_rng(seed).permutation(home[tissue])
    return home


def _tissue_share(sdata: SpatialData, raster: Raster, side: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Share of each block of ``side`` pixels that is tissue, measured at 5 x 5 points."""
    labels = sdata.labels[TISSUE]
    mask = np.asarray(labels.data) > 0
    to_label = np.linalg.inv(um_affine(labels, record(sdata), name=TISSUE)) @ raster.levels[0][1]
    rows, cols = (side * (np.arange(POINTS * n) + 0.5) / POINTS for n in shape)
    x, y = np.meshgrid(cols, rows)
    points = np.stack([x, y, np.ones_like(x)], axis=-1) @ to_label.T
    col, row = (np.clip(np.floor(points[..., axis]).astype(int), 0, mask.shape[1 - axis] - 1) for axis in (0, 1))
    return mask[row, col].reshape(shape[0], POINTS, shape[1], POINTS).mean(axis=(1, 3))


def _moved(source: Any, home: NDArray[np.int64], side: int) -> Any:
    """(3, y, x) lazy image in which block ``home[r, c]`` of ``source`` lies at row r and column c."""
    import dask.array as da

    rows, cols = home.shape

    def piece(block_info: Any) -> NDArray[np.uint8]:
        (_, _), (top, bottom), (left, right) = block_info[None]["array-location"]
        moved = np.array(source[:, top:bottom, left:right])
        for row in range(top // side, min(-(-bottom // side), rows)):
            for col in range(left // side, min(-(-right // side), cols)):
                from_row, from_col = divmod(int(home[row, col]), cols)
                y, x = row * side - top, col * side - left
                moved[:, y : y + side, x : x + side] = source[
                    :, from_row * side : (from_row + 1) * side, from_col * side : (from_col + 1) * side
                ]
        return moved

    step = CHUNK_BLOCKS * side
    chunks = ((3,), *(da.core.normalize_chunks(step, (size,))[0] for size in source.shape[1:]))
    return da.map_blocks(piece, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8))
