"""Kills, leftovers and links: the store survives."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spatialdata as sd
from filelock import FileLock
from toys.spatial import toy_labels

from stsr.spatial import open_store, put, recover, transaction


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What became of stores whose writer was killed at one moment after the other; see tests/store_kill.py."""
    script = Path(__file__).parents[1] / "store_kill.py"
    run = subprocess.run(
        [sys.executable, script, tmp_path_factory.mktemp("kill")], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("scenario", ["new_labels", "labels", "table", "whole", "labels by renames"])
def test_store_survives_a_kill_at_any_moment(killed, scenario):
    assert killed[scenario]["moments"] >= 6
    assert killed[scenario]["failed"] == []


@pytest.fixture
def sdata(tmp_path):
    sdata = sd.SpatialData()
    sdata.write(tmp_path / "a.zarr")
    put(sdata, "grid", toy_labels(1))
    return sdata


@pytest.mark.parametrize("exchange", [True, False])
def test_replacing_works_with_and_without_exchange(sdata, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(transaction, "_exchange", lambda a, b: False)
    put(sdata, "grid", toy_labels(50), overwrite=True)
    assert sdata["grid"].data[0, 0].compute() == 50
    assert sd.read_zarr(sdata.path)["grid"].data[0, 0].compute() == 50
    assert [path.name for path in sdata.path.parent.iterdir()] == ["a.zarr"]


def test_stale_scratch_is_cleared_and_a_living_writer_left_alone(sdata):
    parent = sdata.path.parent
    stale, alive, stranger = (parent / name for name in (".a.zarr.stsr-1", ".a.zarr.stsr-2", ".b.zarr.stsr-1"))
    for scratch in (stale, alive, stranger):
        (scratch / "new.zarr").mkdir(parents=True)
    with FileLock(alive / "lock"):
        open_store(sdata.path)
        assert not stale.exists()
        assert alive.exists()
    assert stranger.exists()
    recover(sdata.path)
    assert not alive.exists()


def test_path_with_pattern_characters(tmp_path):
    sdata = sd.SpatialData()
    sdata.write(tmp_path / "a[1]*.zarr")
    (tmp_path / ".a[1]*.zarr.stsr-1").mkdir()
    (tmp_path / ".a1b.zarr.stsr-1").mkdir()
    put(sdata, "grid", toy_labels())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a1b.zarr.stsr-1", "a[1]*.zarr"]


def test_store_behind_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    sd.SpatialData().write(tmp_path / "disk" / "a.zarr")
    (tmp_path / "a.zarr").symlink_to(tmp_path / "disk" / "a.zarr")
    sdata = open_store(tmp_path / "a.zarr")
    put(sdata, "grid", toy_labels())
    put(sdata, "grid", toy_labels(5), overwrite=True)
    assert (tmp_path / "a.zarr").is_symlink()
    np.testing.assert_array_equal(sd.read_zarr(tmp_path / "disk" / "a.zarr")["grid"].data, toy_labels(5).data)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["a.zarr"]
