"""Kill a whole job, from the image to the tables, at its changes of the disk, and see whether the same call then works.

``python tests/job_kill.py FOLDER`` kills each step before each of its changes and a job of one call 200 times at random;
``--moved 5 --inside 2 --random 2`` takes fewer. The last line of what it prints is the result as JSON.

Changes are what Python's audit events report of files below the folder, and the exchange of two directories. A kill
leaves what lies on the disk at that moment, so a process that works on a store copies it before each of its changes, and
ends; each copy is then opened by another process, which repeats the call and compares the tables with those of an
undisturbed one. At random moments processes are really killed. Most kills leave one of a few states; one that is known
byte by byte is not repeated. The parent never touches zarr, whose threads a fork would not take along.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import threading
import time
import uuid
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import spatialdata as sd
from store_kill import forked

import stsr
import stsr.methods.baselines.idw
import stsr.methods.baselines.ridge
import stsr.pp.calibrate_image
import stsr.tl.predict
from stsr.spatial import open_store, transaction

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "stsr.exchange"}
COPIES = 200
"""Stores copied in one run of the work."""

BIN = 32.0
RESULTS = ("sr_idw", "sr_ridge", "again")


def calibrate(path: Path) -> None:
    stsr.pp.calibrate_image(open_store(path), target_mpp=4, overwrite=True)


def grid(path: Path) -> None:
    stsr.pp.make_grid(open_store(path), bin_size=BIN, overwrite=True)


def features(path: Path) -> None:
    stsr.pp.extract_features(open_store(path), bin_size=BIN, overwrite=True, progress=False)


def fitted(path: Path, method: str) -> stsr.tl.Model:
    options = {"bin_size": BIN, "genes": "all", "overwrite": True, "progress": False}
    return stsr.tl.fit_super_resolution(open_store(path), method=method, key_added=f"sr_{method}", **options)


def idw(path: Path) -> None:
    fitted(path, "idw")


def ridge(path: Path) -> None:
    fitted(path, "ridge").save(path.parent.parent / "model.safetensors", overwrite=True)


def predict(path: Path) -> None:
    model = stsr.tl.Model.load(path.parent.parent / "model.safetensors")
    stsr.tl.predict(open_store(path), model, key_added="again", overwrite=True, progress=False)


STEPS = {"calibrate": calibrate, "grid": grid, "features": features, "idw": idw, "ridge": ridge, "predict": predict}


def job(path: Path) -> None:
    """What a script does that may be started again."""
    for step in STEPS.values():
        step(path)


def short_job(path: Path) -> None:
    """One call that makes by itself what it needs."""
    fitted(path, "ridge")


JOBS = {**STEPS, "job": job, "short_job": short_job}


def checksums(sdata: sd.SpatialData) -> dict[str, int]:
    """Of every table, the values; what else is in the store by its pixels."""
    found = {name: zlib.crc32(np.ascontiguousarray(sdata[name].X)) for name in RESULTS if name in sdata}
    rasters = {name: raster for name, raster in {**sdata.labels, **sdata.images}.items() if hasattr(raster, "data")}
    return found | {name: zlib.crc32(np.ascontiguousarray(raster.data)) for name, raster in rasters.items()}


def copy_if_there(source: str, target: str) -> None:
    """Copy a file, unless a change of another thread that had begun before has taken it away."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def watched(work: Callable[[], None], store: Path, stops: set[int], copies: Path, log: Path) -> None:
    """Do the work, and write down all changes; before those of ``stops`` the folder of the store is copied."""
    seen: list[str] = []
    busy = threading.local()
    one_at_a_time = threading.RLock()
    exchange, folder = transaction._exchange, store.parent

    def told(a: Path, b: Path) -> bool:
        sys.audit("stsr.exchange", str(a), str(b))
        return exchange(a, b)

    def hook(event: str, args: tuple) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (event not in CHANGES and not writes) or getattr(busy, "copying", False):
            return
        name = os.fsdecode(args[0]) if isinstance(args[0], str | bytes | os.PathLike) else "?"
        if Path(name).is_absolute() and not name.startswith(str(folder)):
            return  # somebody's cache
        if event == "os.mkdir" and Path(name).is_dir():
            return  # changes nothing
        with one_at_a_time:  # threads that are about to change something wait for the copy
            if len(seen) in stops:
                busy.copying = True
                shutil.copytree(folder, copies / str(len(seen)), symlinks=True, copy_function=copy_if_there)
                busy.copying = False
            seen.append(f"{event} {name.removeprefix(str(folder))}")

    transaction._exchange = told
    sys.addaudithook(hook)
    numbers = random.Random(1)  # the same work leaves the same files, so that states are recognised
    uuid.uuid4 = lambda: uuid.UUID(int=numbers.getrandbits(128))
    work()
    log.write_text(json.dumps(seen))


def opens(path: Path) -> str:
    """What is left opens for others and for us, and nothing lies around; the checksum of all files."""
    sd.read_zarr(path)
    open_store(path)
    left = [other.name for other in path.parent.iterdir()]
    assert left == [path.name], left
    state = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        assert not file.name.endswith(".partial"), file
        state.update(str(file.relative_to(path)).encode() + (file.read_bytes() if file.is_file() else b""))
    return state.hexdigest()


def survived(name: str, path: Path, expected: dict[str, int], known: set[str], note: Path) -> None:
    """The store opens, and the call can be repeated and ends as it should: seen once for each state of the store."""
    state = opens(path)
    if state not in known:
        JOBS[name](path)
        assert checksums(sd.read_zarr(path)) == expected
        opens(path)
    note.write_text(state)


def campaign(name: str, base: Path, folder: Path, changes: tuple, times: int) -> dict:
    """Kill a call on a copy of a store at some of its changes of the disk and at random moments.

    The finished store lies in ``folder / "whole"`` afterwards.
    """
    log, sums, note, copies = (folder / part for part in ("count", "sums", "note", "copies"))

    def copy(label: str) -> Path:
        path = folder / label / "a.zarr"
        shutil.copytree(base, path)
        return path

    def go(path: Path, stops: set[int]) -> None:
        watched(lambda: JOBS[name](path), path, stops, copies, log)

    def reference(path: Path) -> None:
        go(path, set())
        sums.write_text(json.dumps(checksums(sd.read_zarr(path))))

    copies.mkdir(parents=True)
    model = folder / "model.safetensors"
    if model.is_file():
        shutil.copy(model, copies)
    start = time.perf_counter()
    assert forked(lambda: reference(copy("whole"))) == 0
    seconds = time.perf_counter() - start
    events, expected = json.loads(log.read_text()), json.loads(sums.read_text())
    failed: list[str] = []
    known: set[str] = set()

    def seen(path: Path, what: str) -> None:
        if forked(lambda: survived(name, path, expected, known, note)):
            failed.append(what)
            print("FAILED", name, what, file=sys.stderr, flush=True)
        else:
            known.add(note.read_text())
        shutil.rmtree(path.parent)

    stops = chosen(events, *changes)
    for first in range(0, len(stops), COPIES):
        some = stops[first : first + COPIES]
        path = copy("trial")
        assert forked(lambda path=path, some=some: go(path, {*some})) == 0
        shutil.rmtree(path.parent)
        for stop in some:
            if (copies / str(stop)).is_dir():  # threads made fewer changes
                seen(copies / str(stop) / "a.zarr", f"change {stop}: {events[stop]}")
        print(f"{name}: {first + len(some)} of {len(stops)}, {len(failed)} failed", file=sys.stderr, flush=True)
    chance = random.Random(0)
    for _ in range(times):
        path, when = copy("trial"), chance.uniform(0, seconds)
        status = killed_after(lambda path=path: JOBS[name](path), when)
        assert status in (-signal.SIGKILL, 0), status  # 0: it was done already
        seen(path, f"moment {when}")
    return {"changes": len(events), "killed": len(stops), "random": times, "states": len(known), "failed": failed}


def chosen(events: list[str], moved: int | None, inside: int | None) -> list[int]:
    """Numbers of the changes to kill before, evenly spread; all when None.

    ``inside`` counts those that only fill or empty a scratch directory, ``moved`` the others.
    """
    fills = [n for n, event in enumerate(events) if "/new.zarr/" in event or "/" not in event]
    others = sorted({*range(len(events))} - {*fills})
    taken = []
    for numbers, count in ((others, moved), (fills, inside)):
        few = len(numbers) if count is None else min(count, len(numbers))
        taken += [numbers[round(n)] for n in np.linspace(0, len(numbers) - 1, few)]
    return sorted({*taken})


def killed_after(work: Callable[[], None], seconds: float) -> int:
    """Run in a process of its own and kill it after some time; its exit status."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder for the trials that is not there yet")
    parser.add_argument("--steps", default=",".join(STEPS), help="the first of the steps, in their order")
    parser.add_argument("--moved", type=int, help="how many changes of the store and around it, of each step")
    parser.add_argument("--inside", type=int, help="how many changes that only fill a scratch directory, of each step")
    parser.add_argument("--random", type=int, default=200, help="kills at random moments")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    folder = options.folder.resolve()
    measured = folder / "measured" / "a.zarr"
    assert (
        forked(lambda: stsr.datasets.synthetic_section(size=(600, 600), n_genes=4, seed=0, store=measured) and None)
        == 0
    )
    base, results = measured, {}
    for name in options.steps.split(","):
        results[name] = campaign(name, base, folder / name, (options.moved, options.inside), 0)
        print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
        if base != measured:
            shutil.rmtree(base.parent)
        base = folder / name / "whole" / "a.zarr"
        if name == "ridge":
            shutil.copy(folder / name / "model.safetensors", (folder / "predict").mkdir() or folder / "predict")
    results["short_job"] = campaign("short_job", measured, folder / "short_job", (0, 0), options.random)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
