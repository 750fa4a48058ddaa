"""Kill a write at every moment that can matter, and see whether the store survives. Run by test_spatial_transaction.

Moments are the calls that change the disk (as Python's audit events report them), counted from the start of the write.
Each trial forks a process that ends itself without any clean-up right before its moment. The parent never touches
zarr, whose threads a fork would not take along.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import spatialdata as sd
from spatial_toys import toy_labels, toy_sdata, toy_table

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
    if value == NEW:
        create_store(toy_sdata(mpp=float(NEW)), path, overwrite=True)


def version(scenario: str, sdata: sd.SpatialData) -> int | None:
    """Which version of the data an object holds, looking at every value."""
    if scenario == "whole":
        return int(sdata.attrs["stsr"]["mpp"])
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
    try:
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def counting(work: Callable[[], None], stop: int | None, log: Path) -> None:
    """Do the work, killed before change number ``stop``; note how many changes there were."""
    seen = 0

    def hook(event: str, args: tuple) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            if seen == stop:
                os._exit(KILLED)
            seen += 1

    sys.addaudithook(hook)
    work()
    count = seen
    log.write_text(str(count))


def check(scenario: str, path: Path, may_be_gone: bool) -> None:
    """The store opens with one whole version, by spatialdata and by us; nothing is left; the write works again."""
    if not may_be_gone:
        assert version(scenario, sd.read_zarr(path)) in (OLD, NEW)
    found = version(scenario, open_store(path))
    assert found in (OLD, NEW)
    assert version(scenario, sd.read_zarr(path)) == found
    assert [other.name for other in path.parent.iterdir()] == [path.name]
    globals()[scenario](path, NEW)
    assert version(scenario, sd.read_zarr(path)) == NEW


def main(scenario: str, folder: Path, exchange: bool) -> None:
    if not exchange:
        transaction._exchange = lambda a, b: False
    base, log = folder / "base" / "a.zarr", folder / "count"
    write = globals()[scenario]

    def prepare() -> None:
        sdata = toy_sdata(mpp=float(OLD))
        base.parent.mkdir()
        sdata.write(base)
        write(base, OLD)

    def trial(stop: int | None, name: str) -> tuple[int, Path]:
        path = folder / name / "a.zarr"
        shutil.copytree(base.parent, path.parent)
        return forked(lambda: counting(lambda: write(path, NEW), stop, log)), path

    assert forked(prepare) == 0
    assert trial(None, "whole")[0] == 0
    changes = int(log.read_text())
    # All of the moments around the swap, which come last, and a sample of the long writing before it.
    moments = sorted({*np.linspace(0, changes - 1, 6).astype(int).tolist(), *range(max(0, changes - 16), changes)})
    if scenario in ("whole", "table"):
        moments = moments[::2] + [changes - 1]
    failed = []
    for moment in moments:
        status, path = trial(moment, f"kill{moment}")
        assert status == KILLED, (moment, status)
        if forked(lambda path=path: check(scenario, path, may_be_gone=not exchange)) != 0:
            failed.append(moment)
        shutil.rmtree(path.parent)
    print(json.dumps({"changes": changes, "moments": len(moments), "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "exchange")
