"""What distortions of images are made of: curves, bands of rows, lines, and the glass around tissue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Severity = Literal["mild", "hard"]

SEVERITIES: tuple[Severity, ...] = ("mild", "hard")

Image = NDArray[np.uint8]

BAND = 512
"""Rows that are worked on at a time, which bounds the memory."""

GLASS_BLOCK = 32.0
"""Side in µm of the blocks in which glass is looked for."""


def pick(severity: Severity, mild: float, hard: float) -> float:
    """The strength for a severity."""
    if severity not in SEVERITIES:
        raise ValueError(f"severity={severity!r} is not known; choose one of {', '.join(SEVERITIES)}.")
    return mild if severity == "mild" else hard


def map_levels(image: Image, curve: Callable[[NDArray[np.float64], int], NDArray[np.float64]]) -> Image:
    """Map the grey levels of each channel through ``curve(levels, channel)``, both 0 to 255."""
    table = np.stack([np.clip(np.rint(curve(np.arange(256.0), band)), 0, 255) for band in range(3)]).astype(np.uint8)
    return np.stack([table[band][image[..., band]] for band in range(3)], axis=-1)


def banded(image: Image, change: Callable[[NDArray[np.float32], slice], NDArray[np.float32]]) -> Image:
    """Apply ``change(pixels, rows)`` to bands of rows in float32, clip and round."""
    out = np.empty_like(image)
    for top in range(0, len(image), BAND):
        rows = slice(top, min(top + BAND, len(image)))
        out[rows] = np.clip(np.rint(change(image[rows].astype(np.float32), rows)), 0, 255)
    return out


def around(
    shape: tuple[int, ...], share: NDArray[np.float64], radius: float
) -> tuple[tuple[slice, slice], NDArray[np.float64], NDArray[np.float64]]:
    """The window of an image around a point, (row, col) as shares of ``shape``, and its pixels' distances in y and x."""
    middle = share * shape[:2]
    low = np.maximum(np.floor(middle - radius), 0).astype(int)
    high = np.minimum(np.floor(middle + radius).astype(int) + 1, shape[:2])
    y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
    return (slice(low[0], high[0]), slice(low[1], high[1])), y + 0.5 - middle[0], x + 0.5 - middle[1]


def distance_to_line(shape: tuple[int, ...], along: NDArray[np.float64], angle: float) -> NDArray[np.float32]:
    """(rows, cols) signed distance in pixels from a line through a point, (row, col) as shares of ``shape``."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(along[0] * shape[0])
    cols = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(along[1] * shape[1])
    return np.float32(np.cos(angle)) * rows - np.float32(np.sin(angle)) * cols


def framed(image: Image, width: int, value: int) -> Image:
    """The image with ``width`` pixels along every edge set to a grey level."""
    out = np.full_like(image, value)
    inner = np.s_[width : len(image) - width, width : image.shape[1] - width]
    out[inner] = image[inner]
    return out


def glass_blocks(image: Image, mpp: float) -> NDArray[np.bool_]:
    """(blocks, blocks) blocks of :data:`GLASS_BLOCK` that are bright and even, with no tissue for a block around."""
    from skimage.measure import block_reduce

    side = max(1, round(GLASS_BLOCK / mpp))
    green = image[..., 1]
    mean = block_reduce(green, side, np.mean, cval=255)
    spread = block_reduce(green, side, np.std, cval=255)
    bright = mean > 0.93 * np.quantile(mean, 0.99)
    even = spread < max(6.0, 2 * float(np.quantile(spread, 0.02)))
    return ndimage.binary_opening(bright & even, np.ones((3, 3)))


def filled(image: Image, mpp: float, where: NDArray[np.bool_], glass: NDArray[np.bool_]) -> Image:
    """The image with blocks ``where`` showing tissue of elsewhere: the nearest tissue, mirrored at its border."""
    side = max(1, round(GLASS_BLOCK / mpp))
    nearest = ndimage.distance_transform_edt(glass, return_distances=False, return_indices=True)
    out = image.copy()
    tissue = np.argwhere(~glass)
    if not len(tissue):
        return out
    for row, col in np.argwhere(where):
        mirror = 2 * nearest[:, row, col] - (row, col)
        inside = (mirror >= 0).all() and (mirror < glass.shape).all() and not glass[tuple(mirror)]
        source = mirror if inside else tissue[(row * 7919 + col * 104_729) % len(tissue)]
        target = out[row * side : (row + 1) * side, col * side : (col + 1) * side]
        patch = image[source[0] * side : (source[0] + 1) * side, source[1] * side : (source[1] + 1) * side]
        high, wide = (min(a, b) for a, b in zip(target.shape[:2], patch.shape[:2], strict=True))
        target[:high, :wide] = patch[:high, :wide]
    return out
