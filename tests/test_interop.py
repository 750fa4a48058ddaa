"""The result goes straight into the libraries around it: one test per chain, on the real ones."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scanpy as sc
import spatialdata as sd
import squidpy as sq

import stsr
from stsr.spatial import labels_to_grid, open_store, record

TABLE, GRID = "sr_008um", "grid_008um"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with a super-resolved table that has a latent."""
    path = tmp_path_factory.mktemp("interop") / "section.zarr"
    sdata = stsr.datasets.synthetic_section(size=(600, 600), n_genes=24, store=path)
    stsr.tl.fit_super_resolution(
        sdata,
        method="cross_attention",
        genes="all",
        options={"steps": 8, "image_steps": 8},
        device="cpu",
        progress=False,
    )
    return path


@pytest.fixture
def sdata(store):
    return open_store(store)


def normalised(sdata):
    table = sdata[TABLE].copy()
    sc.pp.normalize_total(table, target_sum=1e4)
    sc.pp.log1p(table)
    return table


def four_neighbours(mask):
    """Number of pairs of cells of a grid that share a side."""
    return int((mask[1:] & mask[:-1]).sum() + (mask[:, 1:] & mask[:, :-1]).sum())


def test_scanpy_from_normalisation_to_leiden(sdata):
    table = normalised(sdata)
    np.testing.assert_allclose(np.expm1(table.X).sum(axis=1), 1e4, rtol=1e-3)
    sc.pp.pca(table, n_comps=8)
    sc.pp.neighbors(table, n_neighbors=10)
    sc.tl.leiden(table, flavor="igraph", n_iterations=2, directed=False, resolution=0.5)
    assert table.obs["leiden"].notna().all()
    assert 2 <= table.obs["leiden"].nunique() < 50


def test_scanpy_leiden_on_the_latent(sdata):
    table = sdata[TABLE].copy()
    assert table.obsm["X_stsr"].shape[0] == table.n_obs
    sc.pp.neighbors(table, use_rep="X_stsr", n_neighbors=10)
    sc.tl.leiden(table, flavor="igraph", n_iterations=2, directed=False, resolution=0.5)
    assert 2 <= table.obs["leiden"].nunique() < 100


@pytest.mark.parametrize("grid_neighbours", ["spatial_neighbors", "spatial_neighbors_grid"])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_squidpy_grid_neighbours_are_the_cells_that_share_a_side(sdata, grid_neighbours):
    if not hasattr(sq.gr, grid_neighbours):
        pytest.skip(f"this squidpy has no {grid_neighbours}")
    table = sdata[TABLE].copy()
    options = {"coord_type": "grid"} if grid_neighbours == "spatial_neighbors" else {}
    getattr(sq.gr, grid_neighbours)(table, n_neighs=4, **options)
    graph = table.obsp["spatial_connectivities"]
    assert graph.nnz == 2 * four_neighbours(labels_to_grid(sdata, GRID).mask)
    first, second = graph.nonzero()
    place = table.obs[["array_row", "array_col"]].to_numpy()
    assert (np.abs(place[first] - place[second]).sum(axis=1) == 1).all()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_squidpy_enrichment_and_morans_i(sdata):
    table = normalised(sdata)
    table.obs["half"] = np.where(table.obs["array_row"] < table.obs["array_row"].median(), "upper", "lower")
    table.obs["half"] = table.obs["half"].astype("category")
    sq.gr.spatial_neighbors(table, coord_type="grid", n_neighs=4)
    sq.gr.nhood_enrichment(table, "half", n_perms=20, seed=0, show_progress_bar=False)
    zscore = table.uns["half_nhood_enrichment"]["zscore"]
    assert zscore[0, 0] > 10 > 0 > zscore[0, 1]
    sq.gr.spatial_autocorr(table, mode="moran", genes=["PODO1", "CDUC1"], show_progress_bar=False)
    moran = table.uns["moranI"]
    assert set(moran.index) == {"PODO1", "CDUC1"}
    assert (moran["I"] > 0.5).all()


def test_spatialdata_plot_renders_the_cells(sdata, tmp_path):
    pytest.importorskip("spatialdata_plot")
    figure, axis = plt.subplots(figsize=(3, 3))
    system = record(sdata).coordinate_system
    rendered = sdata.pl.render_labels(GRID, color="CDUC1", table_name=TABLE)
    rendered.pl.show(coordinate_systems=system, ax=axis)
    figure.savefig(tmp_path / "map.png", dpi=60)
    plt.close(figure)
    drawn = plt.imread(tmp_path / "map.png")[..., :3]
    assert drawn.std(axis=(0, 1)).max() > 0.05
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 50


def test_zarr_round_trip(sdata, tmp_path):
    sdata.write(tmp_path / "copy.zarr")
    again = sd.read_zarr(tmp_path / "copy.zarr")
    assert {name for _, name, _ in again.gen_elements()} == {name for _, name, _ in sdata.gen_elements()}
    assert again.attrs["stsr"] == sdata.attrs["stsr"]
    before, after = sdata[TABLE], again[TABLE]
    np.testing.assert_array_equal(after.X, before.X)
    np.testing.assert_array_equal(after.obsm["X_stsr"], before.obsm["X_stsr"])
    assert after.obs.equals(before.obs)
    assert after.uns["stsr"].keys() == before.uns["stsr"].keys()
    old, new = labels_to_grid(sdata, GRID), labels_to_grid(again, GRID)
    np.testing.assert_array_equal(new.labels, old.labels)
    np.testing.assert_allclose(new.affine, old.affine)


def test_bounding_box_query_keeps_labels_and_rows_together(sdata):
    box = {"min_coordinate": [200, 200], "max_coordinate": [400, 360]}
    cut = sdata.query.bounding_box(
        axes=("x", "y"), target_coordinate_system=record(sdata).coordinate_system, filter_table=True, **box
    )
    table = cut[TABLE]
    labels = np.unique(cut[GRID].values)
    np.testing.assert_array_equal(np.sort(table.obs["bin_id"]), labels[labels > 0])
    assert 0 < table.n_obs < sdata[TABLE].n_obs
    inside = np.array(box["min_coordinate"]) - 8, np.array(box["max_coordinate"]) + 8
    assert ((table.obsm["spatial"] > inside[0]) & (table.obsm["spatial"] < inside[1])).all()
    whole = sdata[TABLE]
    rows = whole.obs["bin_id"].isin(table.obs["bin_id"]).to_numpy()
    np.testing.assert_array_equal(whole.X[rows], table.X)
