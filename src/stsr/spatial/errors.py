"""Errors of the file system in one sentence that names the store and what could not be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT}
DENIED = {errno.EACCES, errno.EPERM}
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
LOST = {
    getattr(errno, name)
    for name in (
        "EIO",
        "ESTALE",
        "ETIMEDOUT",
        "ENOTCONN",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "EREMOTEIO",
        "ENXIO",
    )
    if hasattr(errno, name)
}


@contextmanager
def write_errors(path: Path, what: str) -> Iterator[None]:
    """Raise errors of writing ``what`` to the store ``path`` with a one-sentence message.

    Errors that do not concern the store, such as a missing file that a computation reads, are raised unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or not _about(error, path):
            raise
        if (reason := _reason(error, path, what)) is None:
            raise
        raise OSError(error.errno, reason) from error


def _about(error: OSError, path: Path) -> bool:
    """Whether the error concerns the store, its folders or the scratch directory beside it, or names no file at all."""
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return True
    name = Path(os.fsdecode(error.filename))
    return name.is_relative_to(path) or path.is_relative_to(name) or f".{path.name}.stsr" in str(name)


def _reason(error: OSError, path: Path, what: str) -> str | None:
    store = f"store={str(path)!r}"
    if error.errno in FULL:
        return f"{what} does not fit on the disk of {store}; free space and run again."
    if error.errno == errno.EROFS:
        return f"{what} cannot be written: {store} is on a read-only file system; copy the store and open the copy."
    if error.errno in DENIED:
        if path.is_dir() and not os.access(path.parent, os.W_OK):
            return (
                f"{what} cannot be written: the folder {str(path.parent)!r} of {store} is closed to writing, and stsr "
                "writes there before it moves the data into the store; allow writing there or copy the store."
            )
        return (
            f"{what} cannot be written: no permission to write {store}; allow it or copy the store and open the copy."
        )
    if error.errno == errno.ENAMETOOLONG:
        return f"{what} cannot be written: a name is too long for the file system of {store}; choose a shorter one."
    if error.errno == errno.EXDEV:
        return f"{what} cannot be moved into {store}: parts of it lie on another file system; keep a store on one."
    if error.errno in NO_LOCKS:
        return (
            f"{what} cannot be written: the file system of {store} has no file locks; copy the store to a local disk."
        )
    if error.errno in NOT_A_FOLDER:
        return f"{what} cannot be written: part of the path of {store} is a file or is taken; choose another path."
    if error.errno in LOST:
        return (
            f"{what} cannot be written: the disk of {store} does not answer ({error.strerror}); run again when it does."
        )
    if error.errno == errno.ENOENT:
        return f"{what} cannot be written: {store} was moved or removed meanwhile; check the path and run again."
    return None if error.filename is None else f"{what} cannot be written to {store}: {error.strerror}."
