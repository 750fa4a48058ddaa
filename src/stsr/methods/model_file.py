"""A text and some arrays in one ``.safetensors`` file, with a checksum over both: written as a whole or not at all."""

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
"""Bytes of a file's header at most: names of 400,000 genes."""

DEEPEST = 8
"""Axes of an array at most."""

TYPES = frozenset({"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"})
"""Types of arrays that numpy has too."""


def check_vacant(path: str | os.PathLike[str], overwrite: bool, *, name: str = "path") -> Path:
    """Make the folder of a file that is to be written, and refuse a path where it cannot be.

    Parameters
    ----------
    path
        Where the file goes.
    overwrite
        Whether a file that is there may be replaced.
    name
        What messages call the path.

    Raises
    ------
    ValueError
        When the path is none, is a folder's, or is taken.
    OSError
        When its folder cannot be made or written to: a :class:`PermissionError` where that is not allowed.
    """
    path, told = _path(path, name), f"{name}={str(path)!r}"
    with _told(told):
        there, plain, folder = path.exists(), path.is_file(), path.is_dir()
    if folder or not path.name:
        raise ValueError(f"{told} is a folder; name a file in it, such as 'model.safetensors'.")
    if there and not plain:
        raise ValueError(f"{told} is no plain file; choose another path.")
    if there and not overwrite:
        raise ValueError(f"{told} exists already; pass overwrite=True to replace it or another path.")
    with _told(told):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass  # only tried: a folder may look writable and not be so
    return path


def write(path: Path, text: str, arrays: Arrays) -> None:
    """Write the file beside ``path`` and move it into place; arrays go to the disk as they lie in memory.

    Parameters
    ----------
    path
        A path that :func:`check_vacant` let pass.
    text
        Kept as it is.
    arrays
        Row-major.

    Raises
    ------
    OSError
        When it cannot be written; what was at ``path`` is as it was.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    told = f"path={str(path)!r}"
    scratch = path.with_name(f".stsr-{secrets.token_hex(8)}")
    try:
        with _told(told):
            try:
                save_file(arrays, scratch, metadata={TEXT: text, CHECKSUM: checksum(text, arrays)})
            except SafetensorError as error:
                # the library gives the system's reason in words only
                full = "os error 28" in str(error) or "os error 122" in str(error)
                raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
            if not _header_fits(scratch):
                raise ValueError(f"genes={len(text):,} characters of names and options are more than a file can keep.")
            scratch.replace(path)
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[str, Arrays, bool]:
    """The text and the arrays of a file that :func:`write` wrote, and whether it has a checksum; those of old have none.

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

    path, told = _path(path, "path"), f"path={str(path)!r}"
    damaged = f"{told} is damaged or no .safetensors file; save the model again."
    try:
        if not path.exists():
            raise FileNotFoundError(f"{told} does not exist; pass a file written by Model.save.")
        if not path.is_file():
            raise ValueError(f"{told} is no file but a folder or device; pass a file written by Model.save.")
        if not _header_fits(path):
            raise ValueError(damaged)
        with safe_open(path, framework="numpy") as file:
            notes = file.metadata() or {}
            if TEXT not in notes:
                raise ValueError(f"{told} was not written by stsr; pass a file written by Model.save.")
            arrays = {name: _array(file, name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise PermissionError(error.errno, f"{told} may not be read; ask for permission or copy the file.") from error
    except (SafetensorError, OSError, TypeError, OverflowError) as error:
        raise ValueError(damaged) from error
    if CHECKSUM in notes and notes[CHECKSUM] != checksum(notes[TEXT], arrays):
        raise ValueError(f"{told} is damaged: its content does not have the checksum it was saved with; save it again.")
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
        raise ValueError(f"{name}={path!r} is no path of a file; pass one such as 'model.safetensors'.")
    return at_home(path)


def _header_fits(path: Path) -> bool:
    """Whether the length of a header that a file states is one that it can have."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return 2 <= length <= min(LONGEST, os.fstat(file.fileno()).st_size - 8)


def _array(file: Any, name: str) -> Any:
    known = file.get_slice(name)
    if known.get_dtype() not in TYPES or len(known.get_shape()) > DEEPEST:
        raise TypeError(name)
    return file.get_tensor(name)


@contextmanager
def _told(told: str) -> Iterator[None]:
    """Say in one sentence why something cannot be written."""
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
        raise OSError(error.errno, f"{told} {reason}.") from error
