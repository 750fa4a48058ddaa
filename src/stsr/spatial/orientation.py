"""Images that are stored turned or mirrored, with a tag for the orientation to show."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

ORIENTATION = 274
"""The tag, in TIFF and in EXIF."""


def upright(pixels: Any, tag: Any, path: Path) -> Any:
    """(3, y, x) pixels as viewers show them.

    Positions of spots are measured on the image as it is shown; a reader that leaves the tag aside puts them on turned
    tissue. The files do not show which of the two a program did, so it is logged that the image was turned.

    Parameters
    ----------
    pixels
        numpy or dask array as stored.
    tag
        1 to 8 as in TIFF 6.0; anything else counts as 1, which is upright.
    path
        The file.
    """
    if tag not in range(2, 9):
        return pixels
    turned = pixels.swapaxes(1, 2) if tag >= 5 else pixels
    if tag in (3, 4, 7, 8):
        turned = turned[:, ::-1]
    if tag in (2, 3, 6, 7):
        turned = turned[:, :, ::-1]
    logger.warning(
        "%s carries the orientation tag %d and is turned as viewers show it, to %d x %d pixels; positions that belong to "
        "the pixels as they are stored need a copy of the image without the tag.",
        path.name,
        tag,
        turned.shape[2],
        turned.shape[1],
    )
    return turned
