"""Grids lie where the tissue is, at the size and angle asked for."""

from __future__ import annotations

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from spatialdata.models import Labels2DModel, ShapesModel
from spatialdata.transformations import Identity

import stsr
from stsr.geometry import cell_lookup
from stsr.spatial import labels_to_grid, put, record


@pytest.fixture(scope="module")
def section():
    """A section whose tissue is a 200 x 120 µm rectangle with its corner at (100, 160) µm."""
    sdata = stsr.datasets.synthetic_section(size=(400, 400), n_genes=8, mpp=1.0, seed=0)
    mask = np.zeros((400, 400), dtype=np.uint8)
    mask[160:280, 100:300] = 1
    cs = record(sdata).coordinate_system
    put(sdata, "box", Labels2DModel.parse(mask, dims=("y", "x"), transformations={cs: Identity()}))
    roi = geopandas.GeoDataFrame(geometry=[shapely.box(100, 160, 300, 280)])
    put(sdata, "roi", ShapesModel.parse(roi, transformations={cs: Identity()}))
    return sdata


def area(grid):
    return grid.n_cells * grid.bin_size**2


@settings(max_examples=25)
@given(st.floats(2, 40), st.floats(-180, 180), st.sampled_from(["box", "roi"]))
def test_cells_tile_the_tissue_at_any_size_and_angle(section, bin_size, angle, tissue):
    grid = labels_to_grid(
        section, stsr.pp.make_grid(section, bin_size=bin_size, angle=angle, tissue=tissue, overwrite=True)
    )
    assert grid.bin_size == pytest.approx(bin_size)
    turned = np.rad2deg(np.arctan2(grid.affine[1, 0], grid.affine[0, 0]))
    assert (turned - angle + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
    x, y = grid.xy.T
    assert ((x >= 99) & (x <= 301) & (y >= 159) & (y <= 281)).all()
    # Counting centres measures an area up to the cells that its border crosses.
    assert area(grid) == pytest.approx(200 * 120, abs=2 * 640 * bin_size)
    assert grid.mask.any(axis=1)[[0, -1]].all()
    assert grid.mask.any(axis=0)[[0, -1]].all()


def test_an_aligned_grid_is_exact(section):
    grid = labels_to_grid(section, stsr.pp.make_grid(section, bin_size=20, tissue="box", key_added="exact"))
    assert grid.shape == (6, 10)
    assert grid.mask.all()
    np.testing.assert_allclose(grid.xy[0], (110, 170))


def test_the_bins_of_a_table_are_taken_as_they_are(section):
    turn = np.deg2rad(1.3)
    affine = np.array([[-8 * np.cos(turn), 8 * np.sin(turn)], [8 * np.sin(turn), 8 * np.cos(turn)]])
    rowcol = np.argwhere(np.random.default_rng(0).random((20, 30)) < 0.8)
    xy = (rowcol[:, ::-1] + 0.5) @ affine.T + (350, 50)
    order = np.random.default_rng(1).permutation(len(rowcol))
    bins = AnnData(
        obs=pd.DataFrame({"array_row": rowcol[order, 0] + 7, "array_col": rowcol[order, 1]}).set_index(
            order.astype(str)
        )
    )
    bins.obsm["spatial"] = xy[order] / record(section).mpp
    grid = labels_to_grid(section, stsr.pp.make_grid(section, like=bins, key_added="like"))
    assert grid.n_cells == len(rowcol)
    np.testing.assert_allclose(grid.xy, xy, atol=1e-6)


@pytest.fixture(scope="module")
def bins(section):
    """A table of 8 µm bins, turned and in no order, that begins at row 7 and column 0; and its (row, column)."""
    cos, sin = 8 * np.cos(0.03), 8 * np.sin(0.03)
    rowcol = np.argwhere(np.random.default_rng(0).random((20, 30)) < 0.8)
    xy = (rowcol[:, ::-1] + 0.5) @ np.array([[cos, sin], [-sin, cos]]) + (50, 50)
    table = AnnData(obs=pd.DataFrame(rowcol + [7, 0], columns=["array_row", "array_col"]).rename(index=str))
    table.obsm["spatial"] = xy / record(section).mpp
    return table[np.random.default_rng(1).permutation(len(rowcol))].copy(), rowcol + [7, 0]


@pytest.mark.parametrize("bin_size", [2, 4, 8 / 3])
def test_bins_are_cut_into_cells_that_fit_in_them(section, bins, bin_size):
    table, rowcol = bins
    whole = labels_to_grid(section, stsr.pp.make_grid(section, like=table, key_added="whole", overwrite=True))
    key = stsr.pp.make_grid(section, like=table, bin_size=bin_size, key_added="cut", overwrite=True)
    cut = labels_to_grid(section, key)
    assert cut.bin_size == pytest.approx(bin_size)
    assert cut.n_cells == len(rowcol) * round(8 / bin_size) ** 2
    np.testing.assert_array_equal(np.unique(cell_lookup(whole, cut.xy)), np.arange(len(rowcol)))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_bins_are_joined_to_cells_that_begin_at_multiples_of_their_rows(section, bins, times):
    table, rowcol = bins
    key = stsr.pp.make_grid(section, like=table, bin_size=8 * times, key_added="joined", overwrite=True)
    joined = labels_to_grid(section, key)
    assert joined.bin_size == pytest.approx(8 * times)
    expected, member = np.unique(rowcol // times, axis=0, return_inverse=True)
    np.testing.assert_array_equal(joined.rowcol, expected - expected.min(axis=0))
    whole = labels_to_grid(section, stsr.pp.make_grid(section, like=table, key_added="whole", overwrite=True))
    np.testing.assert_array_equal(cell_lookup(joined, whole.xy), member)


def test_a_grid_is_taken_as_it_is_cut_and_joined(section):
    stsr.pp.make_grid(section, bin_size=20, tissue="box", key_added="twenty")
    twenty = labels_to_grid(section, "twenty")
    same = labels_to_grid(section, stsr.pp.make_grid(section, like="twenty", key_added="same"))
    np.testing.assert_allclose(same.xy, twenty.xy)
    joined = labels_to_grid(section, stsr.pp.make_grid(section, like="twenty", bin_size=40, key_added="forty"))
    assert joined.shape == (3, 5)
    np.testing.assert_allclose(joined.xy[0], (120, 180))
    assert stsr.pp.make_grid(section, like="twenty", bin_size=5) == "grid_005um"


@pytest.mark.parametrize("bin_size", [6, 12, 7.9, 5])
def test_sizes_at_odds_with_the_bins_are_refused(section, bins, bin_size):
    with pytest.raises(ValueError, match=rf"bin_size={bin_size} µm neither divides the bins of like \(8 µm\) nor is a"):
        stsr.pp.make_grid(section, like=bins[0], bin_size=bin_size)


def test_bins_that_are_not_there_are_refused(section):
    with pytest.raises(KeyError, match="like='nowhere' is no table and no grid; sdata holds table, .*box"):
        stsr.pp.make_grid(section, like="nowhere")


def test_bins_that_are_no_grid_are_refused(section):
    obs = pd.DataFrame({"array_row": [0, 0, 1, 1], "array_col": [0, 1, 0, 1]}, index=list("abcd"))
    bins = AnnData(obs=obs, obsm={"spatial": np.array([[0, 0], [8, 0], [0, 8], [16, 16.0]])})
    with pytest.raises(ValueError, match="like does not lie on a grid of squares"):
        stsr.pp.make_grid(section, like=bins)
    bins.obs["array_col"] = 0
    with pytest.raises(ValueError, match="array_row and array_col name 2 bins twice"):
        stsr.pp.make_grid(section, like=bins)
    del bins.obs["array_col"]
    with pytest.raises(ValueError, match=r"like lacks obs\['array_col'\]"):
        stsr.pp.make_grid(section, like=bins)


@pytest.mark.parametrize("bin_size", [0, 1.9, 100.5, -8, float("nan")])
def test_sizes_out_of_range_are_refused(section, bin_size):
    with pytest.raises(ValueError, match="bin_size="):
        stsr.pp.make_grid(section, bin_size=bin_size)


def test_unknown_and_empty_tissue_are_refused(section):
    with pytest.raises(KeyError, match="box, .*roi"):
        stsr.pp.make_grid(section, tissue="nowhere")
    cs = record(section).coordinate_system
    empty = Labels2DModel.parse(np.zeros((9, 9), dtype=np.uint8), dims=("y", "x"), transformations={cs: Identity()})
    put(section, "empty", empty, overwrite=True)
    with pytest.raises(ValueError, match="tissue='empty' is empty"):
        stsr.pp.make_grid(section, tissue="empty")


def test_an_existing_grid_is_not_replaced_unasked(section):
    stsr.pp.make_grid(section, bin_size=30, tissue="box", key_added="twice")
    with pytest.raises(ValueError, match="overwrite=True"):
        stsr.pp.make_grid(section, bin_size=30, tissue="box", key_added="twice")
