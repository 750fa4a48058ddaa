"""Conversion of an image to RGB, after a check that it is a bright-field image and not fluorescence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.spatial.image_errors import reading, refusal
from stsr.spatial.samples import Meaning, Samples

logger = logging.getLogger(__name__)

WINDOWS, SIDE = 6, 64
"""Windows along each side of the image that are checked, and their side in pixels."""

SPAN = 320
"""Pixels that are checked along a side that cannot be read in parts."""

LIT, PALE = 40, 64
"""Codes from which a pixel is no black margin, and from which light of all colours passes through it."""


Window = Callable[[slice, slice], NDArray[Any]]
"""Reads (samples, y, x) values at some rows and columns."""


def in_rgb(
    pixels: Any, meaning: Meaning, path: Path, *, pieces: tuple[int, int] = (1, 1), window: Window | None = None
) -> Any:
    """(3, y, x) uint8 dask array from one of samples (samples, y, x), after a look at some of them.

    Parameters
    ----------
    pixels
        The samples.
    meaning
        Their meaning, by the file.
    path
        The file.
    pieces
        Height and width of what the file can only give as a whole: a tile, a strip.
    window
        Reads a part of the file without the rest of the array's chunk; from ``pixels`` when None.

    Raises
    ------
    ValueError
        When they are dark where an H&E is bright, wholly transparent, or 16-bit without a known white.
    """
    seen = glimpse(window or (lambda rows, columns: np.asarray(pixels[:, rows, columns])), pixels.shape[1:], pieces)
    samples = _known_range(meaning.samples, int(seen.max()), path) if meaning.deep else meaning.samples
    if samples.alpha is not None and not seen[samples.alpha].any():
        raise refusal(path, "is wholly transparent", "save the H&E as an 8-bit RGB image, without opacity")
    with reading(path, "holds colours that cannot be turned into RGB, by its profile or without one"):
        colour = samples.rgb(seen[:, None])[:, 0]
    through = passes_through(colour) if meaning.coloured else bright_ground(colour)
    if through is False:
        raise refusal(path, "is dark where an H&E is bright, as fluorescence is", "pass the H&E, as 8-bit RGB")
    if meaning.doubt:
        logger.warning("%s %s.", path.name, meaning.doubt)
    return samples.lazy(pixels)


def _known_range(samples: Samples, highest: int, path: Path) -> Samples:
    """16-bit samples of which nothing says how many bits they use: all, when they reach the upper half of the range."""
    if highest < 2**15:
        raise refusal(
            path,
            f"holds 16-bit values up to {highest}, and does not say which one is white",
            "save the H&E as an 8-bit RGB image, in which white is 255",
        )
    return replace(samples, top=2**16 - 1)


def glimpse(window: Window, size: tuple[int, int], pieces: tuple[int, int]) -> NDArray[Any]:
    """(samples, n) values all over an image of a size (height, width), at the cost of some pieces of the file."""
    rows, columns = (_spread(length, piece) for length, piece in zip(size, pieces, strict=True))
    windows = [window(row, column) for row in rows for column in columns]
    return np.concatenate([values.reshape(len(values), -1) for values in windows], axis=1)


def _spread(size: int, piece: int) -> list[slice]:
    """Where to look along an axis."""
    if piece >= size:
        return [slice(None, None, -(-size // SPAN))]
    starts = np.unique(np.linspace(0, max(0, size - SIDE), WINDOWS).astype(int))
    return [slice(start, start + SIDE) for start in starts.tolist()]


def passes_through(rgb: NDArray[np.uint8]) -> bool | None:
    """Whether light of all colours passes through pixels (3, n) of a colour image; None when all are black.

    On an H&E it does, on glass most of all. What glows is dark in one colour at least, and so is the ground.
    """
    lit = rgb[:, rgb.max(axis=0) > LIT]
    if lit.shape[1] < rgb.shape[1] / 1000:
        return None
    return bool(np.percentile(lit.min(axis=0), 95) >= PALE)


def bright_ground(rgb: NDArray[np.uint8]) -> bool:
    """Whether most of the pixels (3, n) of an image are bright, as a transmitted-light image is, seen without colours."""
    return bool(np.median(rgb.max(axis=0)) >= PALE)
