"""Replace a directory of a zarr store so that a kill at any moment leaves a store that opens.

New data are written into a scratch directory beside the store, then swapped in with one rename. The scratch directory
is locked for as long as its writer lives, so leftovers of a killed run can be distinguished from a run in progress. The
store itself is locked only while something is moved into it.
"""

from __future__ import annotations

import ctypes
import glob
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from stsr.spatial.root import KINDS, local, publish

logger = logging.getLogger(__name__)

NEW, OLD, COMMIT, LOCK = "new.zarr", "old", "commit", "lock"
"""Inside a scratch directory: the store being written, what was set aside, the mark that the swap began, the lock."""

TARGET = re.compile(rf"\.|({'|'.join(KINDS)})(/[A-Za-z0-9][A-Za-z0-9_.-]*)?")
"""What a swap may replace: the store, a group of elements, an element."""

PATIENCE = 300.0
"""Seconds to wait for another process that moves something into the store, which takes it less than one as a rule."""


READERS_PATIENCE = 5.0
"""The same for a process that came to read."""


@contextmanager
def transaction(path: Path) -> Iterator[Path]:
    """A locked scratch directory beside the store ``path``; tidied away at the end, whatever happens inside."""
    work, lock = _scratch(path)
    with lock:
        try:
            yield work
        finally:
            _settle(path, work)


def _scratch(path: Path) -> tuple[Path, FileLock]:
    """A new scratch directory and its lock, which is held."""
    while True:
        work = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
        lock = FileLock(work / LOCK)
        try:
            lock.acquire()
        except FileNotFoundError:
            continue  # taken for a leftover by another process before it was locked
        except OSError:
            shutil.rmtree(work, ignore_errors=True)
            raise
        if work.exists():
            return work, lock
        lock.release()


@contextmanager
def locked(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Keep other processes from changing the store ``path`` for a moment.

    Raises
    ------
    TimeoutError
        When another process keeps it for longer than ``patience`` seconds.
    """
    lock = FileLock(_lock_file(path))
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise TimeoutError(
            f"store={str(path)!r} is being changed by another process for {patience:g} s now; run again when it is done."
        ) from error
    try:
        yield
    finally:
        # Removed while it is held: who waits for it sees that it is gone, and makes a new one.
        with suppress(OSError):
            _lock_file(path).unlink()
        lock.release()


def swap_in(path: Path, work: Path, new: Path, target: Path) -> None:
    """Put the directory ``new`` in the place of ``target``, inside the store ``path`` or the store itself.

    The store must be locked.
    """
    (work / COMMIT).write_text(target.relative_to(path).as_posix())
    if not target.exists():
        new.replace(target)
    elif not _exchange(new, target):
        target.replace(work / OLD)
        new.replace(target)
    try:
        publish(path, work)
    except OSError:
        return  # _settle does it, after it has made room
    (work / COMMIT).unlink()


def recover(path: str | os.PathLike[str]) -> None:
    """Tidy up after runs that were killed while they wrote to the store ``path``.

    A replacement that had begun is finished or undone, everything else is thrown away. Runs that are still writing are
    left alone, and so is all that such a run does not leave, or that cannot be tidied up: the log says so.
    """
    path = local(path)
    try:
        leftovers = [*path.parent.glob(f"{glob.escape(_prefix(path))}*")]
        if os.path.lexists(_lock_file(path)):
            leftovers.append(_lock_file(path))
    except OSError:
        return
    for leftover in leftovers:
        try:
            _tidy(path, leftover)
        except (Timeout, TimeoutError):
            continue  # its writer lives
        except OSError as error:
            logger.info("%s stays beside the store: %s.", leftover, error)


def _tidy(path: Path, leftover: Path) -> None:
    """Remove what one killed run left, after it has been made good."""
    _check_ours(leftover, stat.S_ISREG if leftover == _lock_file(path) else stat.S_ISDIR)
    if leftover == _lock_file(path):
        with locked(path, patience=0):
            return
    _check_ours(leftover / LOCK, stat.S_ISREG)
    with FileLock(leftover / LOCK, timeout=0):
        _settle(path, leftover, patience=READERS_PATIENCE)
    logger.info("Removed %s, left by a run that was stopped while it wrote.", leftover)


def _check_ours(file: Path, is_right: object) -> None:
    """Refuse what no run of this user can have left: links, pipes, files of others."""
    try:
        found = file.lstat()
    except FileNotFoundError:
        return
    if not is_right(found.st_mode):  # type: ignore[operator]
        raise OSError(f"{file.name} is not what a run of stsr leaves")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise OSError(f"{file.name} belongs to another user")


def _prefix(path: Path) -> str:
    return f".{path.name}.stsr-"


def _lock_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.stsr.lock")


def _settle(path: Path, work: Path, patience: float = PATIENCE) -> None:
    """Leave one whole version of what was being replaced in place, let the store list it, and clear up."""
    target = _begun(path, work)
    if target is not None and (work / OLD).exists():
        _check_ours(work / OLD, stat.S_ISDIR)
        with locked(path, patience):
            if not os.path.lexists(target) and (work / OLD / "zarr.json").is_file():
                (work / OLD).replace(target)
    # Space first: after a full disk the store's own metadata must find room.
    _remove(work / NEW)
    _remove(work / OLD)
    if target is not None and (path / "zarr.json").exists():
        with locked(path, patience):
            publish(path, work)
    _remove(work)


def _remove(folder: Path) -> None:
    """Remove a folder; after an error, threads of zarr may go on for a moment to write into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(0.05)


def _begun(path: Path, work: Path) -> Path | None:
    """What a swap that had begun was to replace, None when none had; never anything outside the store."""
    commit = work / COMMIT
    _check_ours(commit, stat.S_ISREG)
    if not commit.exists() or commit.stat().st_size > 1000:
        return None
    text = commit.read_bytes().decode(errors="replace")
    if not TARGET.fullmatch(text):
        return None
    target = path / text
    return None if any(part.is_symlink() for part in (target, target.parent)) else target


def _exchange(a: Path, b: Path) -> bool:
    """Swap two directories in one step; False where the system or the file system cannot."""
    swap = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS
    here = -100  # AT_FDCWD
    names = os.fsencode(a), os.fsencode(b)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        return hasattr(libc, "renameat2") and libc.renameat2(here, names[0], here, names[1], swap) == 0
    if sys.platform == "darwin":
        return ctypes.CDLL(None).renamex_np(*names, swap) == 0
    return False
