"""Sums over regions: nothing is lost, nothing invented."""

from __future__ import annotations

import dask.array as da
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from spatialdata import get_element_annotators, match_table_to_element
from spatialdata.models import ShapesModel
from spatialdata.transformations import Identity
from toys.result import add_grid, add_result
from toys.spatial import MPP, toy_sdata

import stsr
from stsr.geometry import Grid
from stsr.spatial import create_store, open_store, put
from stsr.spatial.bins import result_tables
from stsr.spatial.totals import set_totals
from stsr.spatial.units import state
from stsr.tl import aggregate

GENES = ["A", "B", "C"]
COS, SIN = 8 * np.cos(0.2), 8 * np.sin(0.2)
GRID = Grid(np.array([[COS, -SIN, 120], [SIN, COS, 60], [0, 0, 1]]), np.add.outer(np.arange(20), np.arange(24)) > 2)


def values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 2, (GRID.n_cells, len(GENES))).astype(np.float32)


def section(matrix=None, **layers):
    sdata = toy_sdata()
    add_grid(sdata, GRID)
    add_result(sdata, values() if matrix is None else matrix, GENES)
    sdata["sr_008um"].layers.update(layers)
    return sdata


def add_shapes(sdata, um: list, name: str = "cells", **columns) -> None:
    """Shapes given in µm."""
    pixels = shapely.transform(np.array(um), lambda xy: xy / MPP)
    frame = gpd.GeoDataFrame({"geometry": pixels, **columns}, index=[f"cell {n}" for n in range(len(um))])
    sdata[name] = ShapesModel.parse(frame, transformations={"toy": Identity(), "global": Identity()})


def parallelograms() -> list:
    """Two cells, and one cell with half of its neighbour, as polygons."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    col, row = GRID.rowcol[30, ::-1], GRID.rowcol[200, ::-1]
    return [shapely.Polygon(GRID.to_um(each)) for each in (corners + col, corners * [1.5, 1] + row)]


def test_the_table_says_what_it_is():
    sdata = section()
    add_shapes(sdata, parallelograms())
    assert aggregate(sdata, by="cells") == "sr_008um_cells"
    table, source = sdata["sr_008um_cells"], values()
    np.testing.assert_allclose(table.X, [source[30], source[200] + source[201] / 2], rtol=1e-5)
    assert table.X.dtype == np.float32
    assert table.var_names.tolist() == GENES
    assert table.obs["instance_id"].tolist() == ["cell 0", "cell 1"]
    np.testing.assert_allclose(table.obs["area_um2"], [64, 96])
    np.testing.assert_allclose(table.obs["covered"], 1, rtol=1e-6)
    np.testing.assert_allclose(table.obsm["spatial"][0] * MPP, GRID.xy[30])
    assert table.uns["stsr"]["aggregated"] == "sr_008um"
    assert table.uns["stsr"]["by"] == "cells"
    assert get_element_annotators(sdata, "cells") == {"sr_008um_cells"}
    assert match_table_to_element(sdata, "cells", "sr_008um_cells").n_obs == 2
    assert result_tables(sdata) == ["sr_008um"]


@pytest.fixture(scope="module")
def one_section():
    return section()


@settings(max_examples=15)
@given(seeds=arrays(float, st.tuples(st.integers(4, 40), st.just(2)), elements=st.floats(0, 1), unique=True))
def test_a_partition_of_the_plane_keeps_every_molecule(one_section, seeds):
    sdata = one_section
    plane = shapely.box(-500, -500, 1000, 1000)
    points = shapely.MultiPoint(np.unique(np.round(seeds * 250 + [80, 40], 3), axis=0))
    tiles = shapely.intersection(shapely.get_parts(shapely.voronoi_polygons(points, extend_to=plane)), plane)
    add_shapes(sdata, list(tiles))
    aggregate(sdata, by="cells", overwrite=True)
    table = sdata["sr_008um_cells"]
    np.testing.assert_allclose(table.X.sum(axis=0), values().sum(axis=0), rtol=1e-5)
    covered = table.obs["covered"] * table.obs["area_um2"]
    assert covered.sum() == pytest.approx(GRID.n_cells * 64, rel=1e-5)


def test_regions_beside_the_grid_are_empty_and_half_covered_ones_say_so():
    sdata = section()
    top = GRID.xy[:, 1].min()
    add_shapes(sdata, [shapely.box(-900, 100, -800, 110), shapely.box(200, top - 300, 230, 150)])
    aggregate(sdata, by="cells")
    table = sdata["sr_008um_cells"]
    assert table.X[0].tolist() == [0, 0, 0]
    assert table.obs["covered"].iloc[0] == 0
    assert 0.05 < table.obs["covered"].iloc[1] < 0.5


def test_the_grid_itself_gives_the_table_back():
    sdata = section()
    aggregate(sdata, by="grid_008um", key_added="same")
    np.testing.assert_allclose(sdata["same"].X, values(), rtol=1e-6)
    np.testing.assert_allclose(sdata["same"].obsm["spatial"], sdata["sr_008um"].obsm["spatial"])


def test_rows_that_the_table_lacks_do_not_count():
    sdata = section()
    kept = np.random.default_rng(1).permutation(GRID.n_cells)[:200]
    sdata["sr_008um"] = sdata["sr_008um"][kept].copy()
    add_shapes(sdata, [shapely.box(-500, -500, 1000, 1000)])
    aggregate(sdata, by="cells")
    np.testing.assert_allclose(sdata["sr_008um_cells"].X[0], values()[kept].sum(axis=0), rtol=1e-5)
    assert sdata["sr_008um_cells"].obs["covered"].iloc[0] == pytest.approx(200 * 64 / 1500**2, rel=1e-4)


def test_counts_stay_sparse():
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(0.3, (GRID.n_cells, 3)).astype(np.int32))
    sdata = section(counts)
    add_shapes(sdata, parallelograms())
    aggregate(sdata, by="cells")
    result = sdata["sr_008um_cells"].X
    assert sp.issparse(result)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.toarray()[0], counts.toarray()[30], atol=1e-5)


def test_variances_of_counts_add_and_errors_of_rates_go_together():
    mean = values()
    rate = mean * 0.5
    sdata = section(mean, sd=np.sqrt(mean + rate**2))
    add_shapes(sdata, parallelograms())
    aggregate(sdata, by="cells")
    both = sdata["sr_008um_cells"].layers["sd"][1]
    expected = mean[200] + mean[201] / 2 + (rate[200] + rate[201] / 2) ** 2
    np.testing.assert_allclose(both, np.sqrt(expected), rtol=1e-5)


def test_large_tables_are_summed_gene_batch_by_gene_batch(monkeypatch, tmp_path):
    genes = 70
    source = np.random.default_rng(0).random((GRID.n_cells, genes)).astype(np.float32)
    sdata = toy_sdata()
    add_grid(sdata, GRID)
    add_result(sdata, da.from_array(source), [f"G{n}" for n in range(genes)])
    sdata["sr_008um"].layers["sd"] = da.from_array(source)
    add_shapes(sdata, parallelograms())
    del sdata["toy_full_image"]
    sdata = create_store(sdata, tmp_path / "section.zarr")
    monkeypatch.setitem(stsr.tl.aggregate.__globals__, "BATCH_VALUES", 1)
    aggregate(sdata, by="cells")
    table = open_store(tmp_path / "section.zarr")["sr_008um_cells"]
    np.testing.assert_allclose(table.X, [source[30], source[200] + source[201] / 2], rtol=1e-5)
    np.testing.assert_allclose(table.layers["sd"] ** 2, table.X, rtol=1e-5)


def test_a_table_is_replaced_only_when_told():
    sdata = section()
    add_shapes(sdata, parallelograms())
    aggregate(sdata, by="cells")
    with pytest.raises(ValueError, match="key_added='sr_008um_cells' exists already"):
        aggregate(sdata, by="cells")
    assert aggregate(sdata, by="cells", overwrite=True) == "sr_008um_cells"


def test_faults_are_told():
    sdata = section()
    add_shapes(sdata, [shapely.box(-900, 0, -800, 10)])
    with pytest.raises(ValueError, match="by='cells' shares no area with the cells of table='sr_008um'"):
        aggregate(sdata, by="cells")
    with pytest.raises(
        KeyError, match="by='nuclei' is no shapes or labels element; sdata holds toy, cells, grid_008um"
    ):
        aggregate(sdata, by="nuclei")
    with pytest.raises(ValueError, match="table='table' annotates 'toy', which is no grid"):
        aggregate(sdata, "table", by="cells")
    with pytest.raises(KeyError, match="table='sr' not found"):
        aggregate(sdata, "sr", by="cells")


def test_synthetic_truth_goes_back_into_its_spots():
    sdata = stsr.datasets.synthetic_section(size=(600, 600), n_genes=10)
    key = aggregate(sdata, "truth_008um", by="synthetic")
    back, spots = sdata[key].X.toarray(), sdata["table"].X.toarray()
    assert np.corrcoef(back.ravel(), spots.ravel())[0, 1] > 0.99
    assert back.sum() == pytest.approx(spots.sum(), rel=0.05)


def counted(**layers):
    sdata = section(**layers)
    set_totals(sdata["sr_008um"])
    add_shapes(sdata, parallelograms())
    return sdata


@pytest.mark.parametrize("change", [sc.pp.log1p, sc.pp.normalize_total, sc.pp.scale])
def test_what_is_no_count_any_more_is_not_summed_as_one(change):
    sdata = counted()
    change(sdata["sr_008um"])
    with pytest.raises(ValueError, match="table='sr_008um' does not hold counts in X any more.*overwrite=True"):
        aggregate(sdata, by="cells")
    assert "sr_008um_cells" not in sdata.tables


def test_counts_in_a_layer_are_summed():
    sdata = counted()
    table = sdata["sr_008um"]
    table.layers["raw"] = table.X.copy()
    sc.pp.log1p(table)
    with pytest.raises(ValueError, match="pass layer='raw'"):
        aggregate(sdata, by="cells")
    aggregate(sdata, by="cells", layer="raw")
    source = values()
    np.testing.assert_allclose(sdata["sr_008um_cells"].X, [source[30], source[200] + source[201] / 2], rtol=1e-5)
    assert sdata["sr_008um_cells"].uns["stsr"]["units"] == "expected UMI counts per region"
    with pytest.raises(KeyError, match="layer='nope' not found in 'sr_008um'; it has raw"):
        aggregate(sdata, by="cells", layer="nope", key_added="x")


def test_values_of_which_nothing_is_known_are_not_called_counts():
    sdata = counted()
    table = sdata["sr_008um"]
    del table.uns["stsr"], table.obsm["stsr_total"]
    aggregate(sdata, by="cells")
    assert sdata["sr_008um_cells"].uns["stsr"]["units"] == "sums of X of sr_008um per region"


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
def test_sums_carry_their_own_evidence(kind):
    sdata = section(kind(values()))
    aggregate(sdata, by="grid_008um", key_added="same")
    assert state(sdata["same"]) == "counts"
    assert state(sdata["same"][5:40]) == "counts"
    sc.pp.log1p(sdata["same"])
    del sdata["same"].uns["log1p"]
    with pytest.raises(ValueError, match="table='same' does not hold counts"):
        aggregate(sdata, "same", by="toy")


def test_what_is_no_section():
    with pytest.raises(ValueError, match="sdata is of type AnnData, not a SpatialData object"):
        aggregate(section()["sr_008um"], by="cells")


def test_a_table_of_two_grids_names_what_to_do():
    sdata = section()
    add_shapes(sdata, parallelograms())
    put(sdata, "other", sdata["grid_008um"])
    table = sdata["sr_008um"]
    table.obs["region"] = pd.Categorical(np.where(np.arange(table.n_obs) < 100, "other", "grid_008um"))
    table.uns["spatialdata_attrs"]["region"] = ["other", "grid_008um"]
    with pytest.raises(
        ValueError, match="table='sr_008um' annotates 2 elements, other, grid_008um; keep the rows"
    ) as error:
        aggregate(sdata, by="cells")
    exec(str(error.value).split("of their own: ")[1].rstrip("."), {"sdata": sdata})
    aggregate(sdata, "one", by="cells")
    assert sdata["one_cells"].X[1].tolist() == [0, 0, 0]
