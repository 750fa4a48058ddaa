"""Files that cannot be read: our own sentence, with the library's error as its cause."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOREIGN = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    zlib.error,
)
"""What h5py, pandas, pyarrow, json, gzip and scipy raise on a file that is damaged or of another kind."""

MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Marks at the beginning of text that is not UTF-8."""


@contextmanager
def reading(file: Path, expected: str, *, parameter: str = "path") -> Iterator[None]:
    """Turn what a library raises while it reads a file into one sentence.

    Keep the block to the library's calls: an error of our own inside it would be reworded too.

    Parameters
    ----------
    file
        The file.
    expected
        What it should be, such as ``"a table of positions"``.
    parameter
        The parameter through which the user named it, or its folder.

    Raises
    ------
    FileNotFoundError, PermissionError
        When it is not there, or may not be read.
    ValueError
        When it is damaged or of another kind.
    """
    named = f"{parameter}: {str(file)!r}"
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{named} is not there, or is a link to nothing; put the file in its place.") from error
    except PermissionError as error:
        raise PermissionError(f"{named} may not be read; give yourself permission to read it.") from error
    except FOREIGN as error:
        raise ValueError(
            f"{named} cannot be read as {expected}: it is damaged, incomplete or of another kind; copy or export it "
            "again."
        ) from error


def read_text(file: Path, expected: str, *, parameter: str = "path") -> str:
    """The text of a file, which may be gzipped and begin with a byte order mark."""
    with reading(file, expected, parameter=parameter):
        raw = file.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        text = raw.decode(MARKS.get(raw[:2], "utf-8-sig"))
        if "\0" in text:
            raise ValueError("binary")
        return text


def read_json(file: Path, expected: str, *, parameter: str = "path") -> dict[str, Any]:
    """The entries of a JSON file."""
    text = read_text(file, expected, parameter=parameter)
    with reading(file, expected, parameter=parameter):
        entries = json.loads(text)
        if not isinstance(entries, dict):
            raise TypeError("no entries")
        return entries
