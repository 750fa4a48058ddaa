"""Large tables on disk: chunks, lazy reading, and use in scanpy and squidpy."""

import dask.array as da
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp
import spatialdata as sd
import squidpy as sq
import zarr
from spatialdata.models import TableModel, get_table_keys
from toys.spatial import toy_labels, toy_sdata, toy_table

from stsr.spatial import open_store, put, read_columns, tables

VALUES = np.random.default_rng(1).gamma(0.5, 1, (12, 5)).astype(np.float32)


def fill(open_array):
    open_array("X")[:] = VALUES
    open_array("layers/sd")[:] = VALUES / 2
    open_array("obsm/X_stsr")[:] = VALUES[:, :3]


@pytest.fixture
def sdata(tmp_path):
    """A store with a grid and the table on it."""
    sdata = sd.SpatialData()
    sdata.write(tmp_path / "a.zarr")
    put(sdata, "grid", toy_labels())
    put(sdata, "sr", toy_table(), fill=fill)
    return sdata


def test_spatialdata_reads_the_same_table(sdata):
    ours, theirs = tables.read_table(sdata.path / "tables" / "sr"), sd.read_zarr(sdata.path)["sr"]
    np.testing.assert_array_equal(ours.X, theirs.X)
    np.testing.assert_array_equal(ours.obsm["X_stsr"], theirs.obsm["X_stsr"])
    assert ours.obs.equals(theirs.obs)
    assert get_table_keys(ours) == get_table_keys(theirs) == ("grid", "region", "bin_id")
    assert ours.uns["stsr"]["genes"].tolist() == ["a", "b"]


def test_table_of_several_regions_keeps_its_list(tmp_path):
    table = toy_table()
    table.obs["region"] = ["grid"] * 6 + ["other"] * 6
    table = TableModel.parse(
        table, region=["grid", "other"], region_key="region", instance_key="bin_id", overwrite_metadata=True
    )
    sdata = sd.SpatialData()
    sdata.write(tmp_path / "a.zarr")
    put(sdata, "sr", table)
    assert get_table_keys(sdata["sr"])[0] == ["grid", "other"]
    assert get_table_keys(open_store(tmp_path / "a.zarr")["sr"])[0] == ["grid", "other"]


def test_large_matrices_stay_on_disk(sdata, monkeypatch):
    monkeypatch.setattr(tables, "LAZY_BYTES", VALUES.nbytes - 1)
    table = open_store(sdata.path)["sr"]
    assert isinstance(table.X, da.Array)
    assert isinstance(table.layers["sd"], da.Array)
    assert isinstance(table.obsm["X_stsr"], np.ndarray)
    np.testing.assert_array_equal(table.X.compute(), VALUES)
    put(sdata, "sr", toy_table(), fill=fill, overwrite=True)
    assert isinstance(sdata["sr"].X, da.Array)
    np.testing.assert_array_equal(sdata["sr"].X.compute(), VALUES)


def test_chunks_suit_bands_and_single_genes(tmp_path):
    cells, genes = tables.CHUNKS[0] + 10, tables.CHUNKS[1] + 3
    sdata = sd.SpatialData()
    sdata.write(tmp_path / "a.zarr")

    def band(open_array):
        open_array("X")[5:9] = 7

    put(sdata, "sr", toy_table(cells, genes), fill=band)
    stored = zarr.open_array(tmp_path / "a.zarr" / "tables" / "sr" / "X")
    assert stored.chunks == tables.CHUNKS
    assert stored.nchunks == 4
    assert stored.nchunks_initialized == 2  # nothing is written where nothing was filled in
    assert sdata["sr"].X.sum() == 4 * 7 * genes


def test_dask_matrices_without_fill_are_computed(tmp_path):
    table = toy_table()
    table.X = da.from_array(VALUES, chunks=(5, 2)) * 2
    sdata = sd.SpatialData()
    sdata.write(tmp_path / "a.zarr")
    put(sdata, "sr", table)
    np.testing.assert_array_equal(sd.read_zarr(tmp_path / "a.zarr")["sr"].X, VALUES * 2)
    assert isinstance(table.X, da.Array), "the caller's table is left as it was"


@pytest.mark.parametrize("kind", ["dense", "lazy", "sparse"])
def test_read_columns(sdata, kind, monkeypatch):
    if kind == "lazy":
        monkeypatch.setattr(tables, "LAZY_BYTES", 0)
        sdata = open_store(sdata.path)
    if kind == "sparse":
        sdata["sr"].X = sp.csr_matrix(VALUES)
    np.testing.assert_array_equal(read_columns(sdata, "sr", ["gene4", "gene1"]), VALUES[:, [4, 1]])
    np.testing.assert_array_equal(read_columns(sdata, "sr", ["gene2"], layer="sd"), VALUES[:, [2]] / 2)


def test_read_columns_lists_what_there_is(sdata):
    with pytest.raises(KeyError, match=r"table='sr_8' not found; sdata holds the tables sr"):
        read_columns(sdata, "sr_8", ["gene1"])
    with pytest.raises(KeyError, match=r"layer='var' not found in 'sr'; it has sd"):
        read_columns(sdata, "sr", ["gene1"], layer="var")
    with pytest.raises(ValueError, match=r"genes='gen1' not found in sdata\['sr'\]; did you mean gene1"):
        read_columns(sdata, "sr", ["gen1"])


def test_table_goes_into_scanpy_and_squidpy(sdata):
    table = sdata["sr"]
    sc.pp.normalize_total(table)
    sc.pp.log1p(table)
    sc.pp.pca(table, n_comps=3)
    sq.gr.spatial_neighbors_knn(table, n_neighs=3)
    sq.gr.spatial_autocorr(table, mode="moran", n_perms=None, seed=0)
    assert len(table.uns["moranI"]) == 5


def test_spot_table_without_large_matrices_is_put_as_it_is(tmp_path):
    sdata = toy_sdata()
    sdata.write(tmp_path / "a.zarr")
    spots = sdata["table"].copy()
    spots.X = sp.csr_matrix(spots.X)
    put(sdata, "copy", spots)
    assert sp.issparse(sd.read_zarr(tmp_path / "a.zarr")["copy"].X)
