"""What was added to a table is kept, and its matrices with it."""

from __future__ import annotations

import logging

import dask.array as da
import numpy as np
import pytest
import spatialdata as sd

import stsr
from stsr.spatial import made, open_store, tables
from stsr.tl import save_table


@pytest.fixture
def sdata(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LAZY_BYTES", 100)
    sdata = stsr.datasets.synthetic_section(size=(400, 400), n_genes=5, seed=0, store=tmp_path / "a.zarr")
    stsr.tl.fit_super_resolution(sdata, method="idw", genes="all", bin_size=16, progress=False)
    return sdata


def test_a_column_is_kept_and_so_are_the_values(sdata, tmp_path, caplog):
    assert isinstance(sdata["sr_016um"].X, da.Array)
    before, origin = sdata["sr_016um"].X.compute(), made(sdata, "sr_016um")
    sdata["sr_016um"].obs["cluster"] = np.arange(len(before)) % 3
    with caplog.at_level(logging.INFO, "stsr"):
        assert save_table(sdata, "sr_016um") == "sr_016um"
    assert "sr_016um: saved" in caplog.text
    for again in (sdata, open_store(tmp_path / "a.zarr"), sd.read_zarr(tmp_path / "a.zarr")):
        np.testing.assert_array_equal(np.asarray(again["sr_016um"].X), before)
        assert again["sr_016um"].obs["cluster"].tolist() == (np.arange(len(before)) % 3).tolist()
    assert made(sdata, "sr_016um") == origin
    save_table(sdata, "sr_016um")  # and again


def test_what_cannot_be_saved_is_told(sdata, tmp_path):
    with pytest.raises(KeyError, match="table='sr' not found; sdata holds the tables .*sr_016um"):
        save_table(sdata, "sr")
    with pytest.raises(ValueError, match="table='table' is not one that stsr wrote"):
        save_table(sdata, "table")
    memory = stsr.datasets.synthetic_section(size=(400, 400), n_genes=2, seed=0)
    with pytest.raises(ValueError, match="section 'synthetic' is in memory and has no store"):
        save_table(memory, "table")


def test_a_table_replaced_by_another_job_is_not_overwritten(sdata, tmp_path):
    other = open_store(tmp_path / "a.zarr")
    stsr.tl.fit_super_resolution(other, method="nearest", genes="all", bin_size=16, overwrite=True, progress=False)
    newer = other["sr_016um"].X.compute()
    with pytest.raises(OSError, match="table='sr_016um' was replaced in the store after this one was read"):
        save_table(sdata, "sr_016um")
    np.testing.assert_array_equal(sd.read_zarr(tmp_path / "a.zarr")["sr_016um"].X, newer)
