"""Replace a directory of a zarr store so that a kill at any moment leaves a store that opens.

New data are written into a scratch directory beside the store, then swapped in with one rename. The scratch directory
is locked for as long as its writer lives, so what a killed run left behind can be told from a run in progress.
"""

from __future__ import annotations

import ctypes
import glob
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

NEW, OLD, COMMIT, LOCK = "new.zarr", "old", "commit", "lock"
"""Inside a scratch directory: the store being written, what was set aside, the mark that the swap began, the lock."""


@contextmanager
def transaction(path: Path) -> Iterator[Path]:
    """A locked scratch directory beside the store ``path``; tidied away at the end, whatever happens inside."""
    work = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
    with FileLock(work / LOCK):
        try:
            yield work
        finally:
            _settle(path, work)


def swap_in(path: Path, work: Path, new: Path, target: Path) -> None:
    """Put the directory ``new`` in the place of ``target``, inside the store ``path`` or the store itself."""
    (work / COMMIT).write_text(target.relative_to(path).as_posix())
    if not target.exists():
        new.replace(target)
    elif not _exchange(new, target):
        target.replace(work / OLD)
        new.replace(target)


def recover(path: str | os.PathLike[str]) -> None:
    """Tidy up after runs that were killed while they wrote to the store ``path``.

    A replacement that had begun is finished or undone, everything else is thrown away. Runs that are still writing are
    left alone.
    """
    path = Path(path).resolve()
    for work in path.parent.glob(f"{glob.escape(_prefix(path))}*"):
        try:
            with FileLock(work / LOCK, timeout=0):
                _settle(path, work)
        except Timeout:
            continue
        logger.info("Removed %s, left by a run that was stopped while it wrote.", work)


def _prefix(path: Path) -> str:
    return f".{path.name}.stsr-"


def _settle(path: Path, work: Path) -> None:
    """Leave one whole version of what was being replaced in place, let the store list it, and clear up."""
    begun = (work / COMMIT).exists()
    if begun:
        target = path / (work / COMMIT).read_text()
        if (work / OLD).exists() and not target.exists():
            (work / OLD).replace(target)
    # Space first: after a full disk the store's own metadata must find room.
    shutil.rmtree(work / NEW, ignore_errors=True)
    shutil.rmtree(work / OLD, ignore_errors=True)
    if begun and (path / "zarr.json").exists():
        publish(path)
    shutil.rmtree(work, ignore_errors=True)


def publish(path: Path) -> None:
    """Make the store's lists of its elements agree with its directories."""
    import zarr
    from zarr.errors import ZarrUserWarning

    root = zarr.open_group(path, mode="r+", use_consolidated=False)
    with warnings.catch_warnings():
        # The parquet files of shapes are no zarr nodes; zarr says so each time it walks past them.
        warnings.simplefilter("ignore", ZarrUserWarning)
        if (path / "labels").exists():
            labels = zarr.open_group(path / "labels", mode="r+", use_consolidated=False)
            labels.attrs["ome"] = {"labels": sorted(labels.group_keys())}
        zarr.consolidate_metadata(root.store)


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
