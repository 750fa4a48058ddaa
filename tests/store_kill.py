"""Kill a write at the moments that matter, and see whether the store survives. Run by tests/spatial/test_transaction.py.

Moments are the calls that change the disk (as Python's audit events report them), counted from the start of the write.
Each trial forks a process that ends itself without any clean-up right before its moment. The parent never touches
zarr, whose threads a fork would not take along.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

# spatialdata imports these three when it first reads; here, so that each trial does not import them again.
import annsel  # noqa: F401
import distributed.comm  # noqa: F401
import numpy as np
import spatialdata as sd
import spatialdata._io.io_zarr
from toys.spatial import toy_labels, toy_table

from stsr.spatial import create_store, open_store, put, transaction

warnings.simplefilter("ignore")
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"}
OLD, NEW = 1, 2
KILLED = 9


def fill(value: int) -> Callable:
    return lambda open_array: open_array("X").__setitem__(slice(None), value)


def new_labels(path: Path, value: int) -> None:
    if value == NEW:
        put(sd.read_zarr(path), "grid", toy_labels(NEW))


def labels(path: Path, value: int) -> None:
    put(sd.read_zarr(path), "grid", toy_labels(value), overwrite=True)


def table(path: Path, value: int) -> None:
    put(sd.read_zarr(path), "sr", toy_table(), fill=fill(value), overwrite=True)


def whole(path: Path, value: int) -> None:
    create_store(sd.SpatialData(labels={"grid": toy_labels(value)}), path, overwrite=True)


def version(scenario: str, sdata: sd.SpatialData) -> int:
    """Which version of the data an object holds, looking at every value."""
    if scenario == "table":
        (value,) = np.unique(np.asarray(sdata["sr"].X))
        return int(value)
    if scenario == "new_labels" and "grid" not in sdata:
        return OLD
    start = int(np.asarray(sdata["grid"].data)[0, 0])
    np.testing.assert_array_equal(sdata["grid"].data, toy_labels(start).data)
    return start


def forked(work: Callable[[], None]) -> int:
    """Run in a process of its own; its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        work()
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def watched(work: Callable[[], None], stop: int | None, log: Path) -> None:
    """Do the work, killed before change number ``stop``; otherwise write down all changes."""
    seen: list[str] = []

    def hook(event: str, args: tuple) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            if len(seen) == stop:
                os._exit(KILLED)
            seen.append(f"{event} {args[0]}")

    sys.addaudithook(hook)
    work()
    log.write_text(json.dumps(seen))


def moments(changes: list[str]) -> list[int]:
    """One while the data are written, then each rename around the swap, both sides of the swap itself, and the end."""
    swap = next(n for n, change in enumerate(changes) if change.startswith("open") and change.endswith("/commit"))
    renames = [n for n in range(swap - 1, len(changes)) if changes[n].startswith("os.rename")]
    return sorted({swap // 2, swap, swap + 1, *renames, len(changes) - 1})


def check(scenario: str, path: Path, may_be_gone: bool) -> None:
    """The store opens with one whole version, by spatialdata and by us, and nothing is left beside it."""
    if not may_be_gone:
        assert version(scenario, sd.read_zarr(path)) in (OLD, NEW)
    found = version(scenario, open_store(path))
    assert found in (OLD, NEW)
    assert version(scenario, sd.read_zarr(path)) == found
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def check_again(scenario: str, path: Path) -> None:
    """The write that was killed works when it is repeated."""
    globals()[scenario](path, NEW)
    assert version(scenario, sd.read_zarr(path)) == NEW
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def campaign(scenario: str, folder: Path, exchange: bool) -> dict:
    """Kill one kind of write at each of its moments."""
    folder.mkdir()
    base, log = folder / "base" / "a.zarr", folder / "count"
    write = globals()[scenario]

    def prepare() -> None:
        base.parent.mkdir()
        sd.SpatialData().write(base)
        write(base, OLD)

    def trial(stop: int | None, name: str) -> tuple[int, Path]:
        path = folder / name / "a.zarr"
        shutil.copytree(base.parent, path.parent)
        return forked(lambda: watched(lambda: write(path, NEW), stop, log)), path

    assert forked(prepare) == 0
    assert trial(None, "whole")[0] == 0
    changes = json.loads(log.read_text())
    failed = []
    for number, moment in enumerate(moments(changes)):
        status, path = trial(moment, f"kill{moment}")
        assert status == KILLED, (moment, status)
        if number == 0:
            survived = forked(lambda path=path: check_again(scenario, path)) == 0
        else:
            survived = forked(lambda path=path: check(scenario, path, may_be_gone=not exchange)) == 0
        if not survived:
            failed.append(f"{moment}: {changes[moment]}")
        shutil.rmtree(path.parent)
    return {"moments": len(moments(changes)), "failed": failed}


def main(folder: Path) -> None:
    results = {name: campaign(name, folder / name, True) for name in ("new_labels", "labels", "table", "whole")}
    transaction._exchange = lambda a, b: False
    results["labels by renames"] = campaign("labels", folder / "renames", False)
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
