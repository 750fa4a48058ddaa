"""The grids behind tables."""

from __future__ import annotations

import numpy as np
import pytest
from toys.result import add_grid, add_result
from toys.spatial import MPP, toy_sdata

from stsr.geometry import Grid
from stsr.spatial.bins import bin_grid, result_tables, table_grid

MASK = np.add.outer(np.arange(7), np.arange(5)) > 2
GRID = Grid(np.array([[-8.0, 0.1, 300], [0.1, 8.0, 200], [0, 0, 1]]), MASK)


@pytest.fixture
def sdata():
    sdata = toy_sdata()
    add_grid(sdata, GRID)
    add_result(sdata, np.zeros((GRID.n_cells, 2), dtype=np.float32), ["A", "B"])
    return sdata


def test_the_grid_of_a_result_and_the_cell_of_each_row(sdata):
    grid, cells = table_grid(sdata, "sr_008um")
    np.testing.assert_allclose(grid.affine, GRID.affine)
    np.testing.assert_array_equal(cells, np.arange(GRID.n_cells))

    some = np.array([5, 2, 9])
    sdata.tables["sr_008um"] = sdata["sr_008um"][some].copy()
    np.testing.assert_array_equal(table_grid(sdata, "sr_008um")[1], some)


def test_results_are_told_from_other_tables(sdata):
    assert result_tables(sdata) == ["sr_008um"]
    with pytest.raises(KeyError, match="table='sr' not found; sdata holds the tables table, sr_008um"):
        table_grid(sdata, "sr")
    with pytest.raises(
        ValueError, match="table='table' annotates 'toy', which is no grid of sdata; pass one of sr_008um"
    ):
        table_grid(sdata, "table")


def test_rows_that_annotate_no_cell_are_refused(sdata):
    sdata["sr_008um"].obs.loc["3", "bin_id"] = 1000
    with pytest.raises(ValueError, match="table='sr_008um' has bin_id values that are not among the labels"):
        table_grid(sdata, "sr_008um")


def test_the_grid_of_a_table_of_bins(sdata):
    bins = sdata["sr_008um"][::-1].copy()
    grid, cells = bin_grid(bins, MPP, name="truth")
    np.testing.assert_allclose(grid.affine, GRID.affine, atol=1e-9)
    np.testing.assert_array_equal(cells, np.arange(GRID.n_cells)[::-1])

    del bins.obs["array_col"]
    with pytest.raises(ValueError, match=r"truth lacks obs\['array_col'\]"):
        bin_grid(bins, MPP, name="truth")
    bare = sdata["sr_008um"].copy()
    del bare.obsm["spatial"]
    with pytest.raises(ValueError, match=r"truth lacks obsm\['spatial'\]"):
        bin_grid(bare, MPP, name="truth")


def test_a_result_on_a_grid_that_was_made_anew_is_refused():
    """The same labels may then be other cells."""
    sdata = toy_sdata()
    mask = np.add.outer(np.arange(22), np.arange(18)) > 3
    grid = add_grid(sdata, Grid(np.array([[16.0, 0, 30], [0, 16, 20], [0, 0, 1]]), mask))
    add_result(sdata, np.ones((grid.n_cells, 1), np.float32), ["UMOD"])
    table_grid(sdata, "sr_008um")
    add_grid(sdata, Grid(grid.affine, np.ones_like(mask)))
    with pytest.raises(
        ValueError, match="table='sr_008um' was made on 'grid_008um' as it was before .* overwrite=True"
    ):
        table_grid(sdata, "sr_008um")
    add_grid(sdata, Grid(grid.affine, mask & (np.arange(18) > 9)))
    with pytest.raises(ValueError, match="not among the labels of 'grid_008um'.* overwrite=True"):
        table_grid(sdata, "sr_008um")
    del sdata["sr_008um"].obs["bin_id"]
    with pytest.raises(ValueError, match=r"table='sr_008um' lacks obs\['bin_id'\]"):
        table_grid(sdata, "sr_008um")
