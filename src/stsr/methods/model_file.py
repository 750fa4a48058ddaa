"""Text and arrays in one ``.safetensors`` file with a checksum over both, written atomically."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from stsr.arguments import at_home
from stsr.methods.base import Arrays

TEXT, CHECKSUM = "stsr", "sha256"
"""Keys of the file's metadata."""

LONGEST = 2**24
"""Largest size of a file's header in bytes: enough for the names of 400,000 genes."""

LENGTH_BYTES = 8
"""Bytes at the start of a file that state the length of its header."""

MOST_AXES = 8
"""Largest number of axes of an array."""

TYPES = frozenset({"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"})
"""Types of arrays that numpy can read."""


def check_vacant(path: str | os.PathLike[str], overwrite: bool, *, name: str = "path") -> Path:
    """Make the folder of a file to be written, and refuse a path that cannot be written to.

    Parameters
    ----------
    path
        Path of the file.
    overwrite
        Whether an existing file may be replaced.
    name
        Name of the parameter in messages.

    Raises
    ------
    ValueError
        When it is not a path, or a folder or another file is there.
    OSError
        When its folder cannot be made or written to: a :class:`PermissionError` where that is not allowed.
    """
    path, parameter = _path(path, name), f"{name}={str(path)!r}"
    with _write_errors(parameter):
        exists, regular, folder = path.exists(), path.is_file(), path.is_dir()
    if folder or not path.name:
        raise ValueError(f"{parameter} is a folder; name a file in it, such as 'model.safetensors'.")
    if exists and not regular:
        raise ValueError(f"{parameter} is not a regular file; choose another path.")
    if exists and not overwrite:
        raise ValueError(f"{parameter} exists already; pass overwrite=True to replace it or another path.")
    with _write_errors(parameter):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass  # permission bits do not tell on all file systems whether a folder is writable
    return path


def write(path: Path, text: str, arrays: Arrays) -> None:
    """Write the file beside ``path`` and rename it; arrays must be row-major, since their memory is written as it is.

    Parameters
    ----------
    path
        A path that :func:`check_vacant` accepted.
    text
        Any text.
    arrays
        Row-major arrays by name.

    Raises
    ------
    OSError
        When it cannot be written; an existing file at ``path`` is unchanged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    parameter = f"path={str(path)!r}"
    scratch = path.with_name(f".stsr-{secrets.token_hex(8)}")
    try:
        with _write_errors(parameter):
            try:
                save_file(arrays, scratch, metadata={TEXT: text, CHECKSUM: checksum(text, arrays)})
            except SafetensorError as error:
                # safetensors has no errno, only the operating system's text: 28 is ENOSPC, 122 is EDQUOT on Linux
                full = "os error 28" in str(error) or "os error 122" in str(error)
                raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
            if not _header_fits(scratch):
                raise ValueError(f"genes={len(text):,} characters of names and options are more than a file can keep.")
            scratch.replace(path)
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[str, Arrays, bool]:
    """Text and arrays of a file from :func:`write`, and whether it has a checksum, which the oldest files lack.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    PermissionError
        When it may not be read.
    ValueError
        When it is damaged or was not written by stsr.
    """
    from safetensors import SafetensorError, safe_open

    path, parameter = _path(path, "path"), f"path={str(path)!r}"
    damaged = f"{parameter} is damaged or no .safetensors file; save the model again."
    try:
        if not path.exists():
            raise FileNotFoundError(f"{parameter} does not exist; pass a file written by Model.save.")
        if not path.is_file():
            raise ValueError(f"{parameter} is not a file but a folder or device; pass a file written by Model.save.")
        if not _header_fits(path):
            raise ValueError(damaged)
        with safe_open(path, framework="numpy") as file:
            notes = file.metadata() or {}
            if TEXT not in notes:
                raise ValueError(f"{parameter} was not written by stsr; pass a file written by Model.save.")
            arrays = {name: _array(file, name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise PermissionError(
            error.errno, f"{parameter} may not be read; ask for permission or copy the file."
        ) from error
    except (SafetensorError, OSError, TypeError, OverflowError) as error:
        raise ValueError(damaged) from error
    if CHECKSUM in notes and notes[CHECKSUM] != checksum(notes[TEXT], arrays):
        raise ValueError(f"{parameter} is damaged: its content does not match its checksum; save the model again.")
    return notes[TEXT], arrays, CHECKSUM in notes


def checksum(text: str, arrays: Arrays) -> str:
    """SHA-256 of a text and of arrays: their names, types, shapes and values."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name!r} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _path(path: Any, name: str) -> Path:
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise ValueError(f"{name}={path!r} is not a path; pass one such as 'model.safetensors'.")
    return at_home(path)


def _header_fits(path: Path) -> bool:
    """Whether the header length that a file states (8 bytes, little-endian) is possible for its size."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        return len("{}") <= length <= min(LONGEST, os.fstat(file.fileno()).st_size - LENGTH_BYTES)


def _array(file: Any, name: str) -> Any:
    stored = file.get_slice(name)
    if stored.get_dtype() not in TYPES or len(stored.get_shape()) > MOST_AXES:
        raise TypeError(name)
    return file.get_tensor(name)


@contextmanager
def _write_errors(parameter: str) -> Iterator[None]:
    """Turn an OSError inside the block into one sentence that names the parameter, the reason and a fix."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "does not fit on its disk; free space and save again"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = "may not be written; choose a folder of your own"
        elif error.errno in (errno.EEXIST, errno.ENOTDIR):
            reason = "lies in a folder that is a file; choose another path"
        else:
            reason = f"cannot be written ({os.strerror(error.errno) if error.errno else error}); choose another path"
        raise OSError(error.errno, f"{parameter} {reason}.") from error
