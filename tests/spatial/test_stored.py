"""Matrices that stay on disk are read only as long as they are the ones that were opened."""

from __future__ import annotations

import pickle
import shutil

import dask.array as da
import numpy as np
import pytest
import scanpy as sc
import spatialdata as sd
import zarr
from toys.spatial import toy_labels, toy_table

from stsr.spatial import open_store, put, tables
from stsr.spatial.stored import StoredArray, lazy

VALUES = np.random.default_rng(1).gamma(0.5, 1, (12, 5)).astype(np.float32)
GONE = r"table 'sr' of store='.*a\.zarr' was replaced, moved or deleted after it was opened.*stsr\.tl\.save_table"


def fill(open_array):
    open_array("X")[:] = VALUES
    open_array("layers/sd")[:] = VALUES / 2
    open_array("obsm/X_stsr")[:] = VALUES[:, :3]


def zeros(open_array):
    """Nothing is written: zarr reads zeros."""


@pytest.fixture
def sdata(tmp_path, monkeypatch):
    """A store with a grid and a table on it that counts as large."""
    monkeypatch.setattr(tables, "LAZY_BYTES", 100)
    sdata = sd.SpatialData()
    sdata.write(tmp_path / "a.zarr")
    put(sdata, "grid", toy_labels())
    put(sdata, "sr", toy_table(), fill=fill)
    return sdata


def matrices(table):
    return [table.X, table.layers["sd"], table.obsm["X_stsr"]]


def replaced(sdata):
    put(open_store(sdata.path), "sr", toy_table(), overwrite=True, fill=zeros)


def deleted(sdata):
    sdata.delete_element_from_disk("sr")


def moved(sdata):
    sdata.path.rename(sdata.path.with_name("b.zarr"))


def written_by_spatialdata(sdata):
    other = sd.read_zarr(sdata.path)
    other["sr"].X[:] = 0
    other.delete_element_from_disk("sr")
    other.write_element("sr")


def emptied(sdata):
    shutil.rmtree(sdata.path / "tables" / "sr" / "X" / "c")
    shutil.rmtree(sdata.path / "tables" / "sr")


@pytest.mark.parametrize("happens", [replaced, deleted, moved, written_by_spatialdata, emptied])
@pytest.mark.parametrize("slot", [0, 1, 2])
def test_a_handle_raises_when_its_array_is_another(sdata, happens, slot):
    array = matrices(sdata["sr"])[slot]
    assert isinstance(array, da.Array)
    assert array.compute().sum() > 0
    happens(sdata)
    with pytest.raises(OSError, match=GONE):
        array.compute()


@pytest.mark.parametrize(
    "derive",
    [
        lambda t: t[:4],
        lambda t: t[:, ["gene3", "gene1"]],
        lambda t: t[t.obs["bin_id"] > 6].copy(),
        lambda t: t.copy(),
        lambda t: pickle.loads(pickle.dumps(t)),  # noqa: S301
        lambda t: sc.pp.log1p(t.copy(), copy=True),
    ],
    ids=["rows", "genes", "copy of rows", "copy", "pickle", "log1p"],
)
def test_views_copies_and_what_is_computed_from_them_raise_too(sdata, derive):
    before = derive(sdata["sr"])
    expected = derive(sdata["sr"].to_memory())
    np.testing.assert_allclose(before.X.compute(), expected.X, rtol=1e-6)
    replaced(sdata)
    with pytest.raises(OSError, match=GONE):
        before.X.compute()


def test_saving_in_place_by_the_usual_ways_is_never_zeros(sdata, tmp_path):
    sdata["sr"].obs["cluster"] = "a"
    with pytest.raises(ValueError, match="Cannot overwrite"):
        sdata.write_element("sr", overwrite=True)
    with pytest.raises(ValueError, match="Cannot overwrite"):
        sdata.write(sdata.path, overwrite=True)
    np.testing.assert_array_equal(sdata["sr"].X.compute(), VALUES)
    with pytest.raises(OSError, match=GONE):
        sdata["sr"].write_zarr(sdata.path / "tables" / "sr")


def test_delete_and_write_is_an_error(sdata):
    sdata.delete_element_from_disk("sr")
    with pytest.raises(OSError, match=GONE):
        sdata.write_element("sr")


def test_tables_are_saved_elsewhere_as_they_are(sdata, tmp_path):
    sdata["sr"].write_zarr(tmp_path / "t.zarr")
    sdata["sr"].write_h5ad(tmp_path / "t.h5ad")
    np.testing.assert_array_equal(sc.read_h5ad(tmp_path / "t.h5ad").X, VALUES)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "t.zarr" / "layers" / "sd")[:], VALUES / 2)
    sdata.write(tmp_path / "b.zarr")
    np.testing.assert_array_equal(sd.read_zarr(tmp_path / "b.zarr")["sr"].X, VALUES)


def test_two_arrays_of_one_path_are_never_mixed(sdata):
    old = sdata["sr"].X
    replaced(sdata)
    new = open_store(sdata.path)["sr"].X
    assert old.name != new.name
    assert new.sum().compute() == 0


def test_only_matrices_stay_on_disk(sdata):
    table = tables.read_table(sdata.path / "tables" / "sr", lazy_bytes=0)
    assert [type(each) for each in matrices(table)] == [da.Array] * 3
    assert all(isinstance(column.to_numpy(), np.ndarray) for _, column in table.obs.items())
    assert isinstance(table.uns["stsr"]["genes"], np.ndarray)


def test_an_array_that_goes_while_it_is_read(tmp_path):
    array = zarr.create_array(tmp_path / "x", shape=(4, 3), chunks=(2, 3), dtype="f4")
    array[:] = 1

    stored = StoredArray(array, tmp_path / "x")

    class Slow:
        def __getitem__(self, key):
            shutil.rmtree(tmp_path / "x")
            return array[key]

    stored.array = Slow()
    with pytest.raises(OSError, match="was replaced, moved or deleted"):
        stored[:2]


def test_chunks_are_those_on_disk(tmp_path):
    array = zarr.create_array(tmp_path / "x", shape=(5, 3), chunks=(2, 3), dtype="f4")
    assert lazy(array, tmp_path / "x").chunks == ((2, 2, 1), (3,))
