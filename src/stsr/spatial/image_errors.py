"""What is said of image files that cannot be read, in one sentence that names the file and a way out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What decoders raise for files that are not as they should be; Pillow's for a damaged PNG is a SyntaxError."""

MOST_PIXELS = 10**11
"""More than any scanner makes: 20 x 20 cm at .63 µm per pixel."""

MOST_AT_ONCE = 2 * 10**9
"""Pixels that are decoded together: 6 GB."""

FEWEST = 16
"""Pixels along the shorter side below which an image shows no tissue."""


PARAMETER = "fullres_image="
"""How every sentence begins."""


def refusal(path: Path, what: str, remedy: str = "save the H&E as an 8-bit RGB image") -> ValueError:
    """An error that says what is wrong with a file and what to do."""
    return ValueError(f"{PARAMETER}{str(path)!r} {what}; {remedy}.")


@contextmanager
def reading(path: Path, what: str = "cannot be read, it is damaged or cut off") -> Iterator[None]:
    """Say what went wrong in the words of a user when a library cannot read a file, with its error as the cause."""
    try:
        yield
    except PermissionError as error:
        raise refusal(path, "may not be read", "change its permissions") from error
    except DAMAGE as error:
        if str(error).startswith(PARAMETER):  # our sentence already
            raise
        raise refusal(path, what, "copy it once more, or export it again from the program that made it") from error


def check_size(path: Path, width: int, height: int, *, at_once: int) -> None:
    """Refuse an image that is too small to show tissue, or larger than can be, or whose pieces are.

    Parameters
    ----------
    path
        The file.
    width, height
        Its size in pixels.
    at_once
        Pixels that can only be decoded together.
    """
    if min(width, height) < FEWEST:
        raise refusal(path, f"has {width} x {height} pixels", "pass the full-resolution H&E")
    if width * height > MOST_PIXELS:
        raise refusal(path, f"claims to have {width} x {height} pixels, more than any scanner makes", "export it again")
    if at_once > MOST_AT_ONCE:
        raise refusal(
            path,
            f"has {width} x {height} pixels, of which {at_once:.2g} can only be decoded together",
            "save it as a tiled TIFF",
        )


class Guarded:
    """A lazy array whose errors, as its pieces are read, name the file.

    Parameters
    ----------
    array
        Anything with shape, dtype and slices.
    path
        The file that it reads.
    """

    def __init__(self, array: Any, path: Path) -> None:
        self.array, self.path = array, path
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, key: Any) -> Any:
        with reading(self.path):
            return self.array[key]
