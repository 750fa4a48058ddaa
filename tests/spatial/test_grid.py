"""Grids survive the way into SpatialData and back."""

import numpy as np
import pytest
import spatialdata as sd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from spatialdata.models import Labels2DModel
from spatialdata.transformations import Identity, Scale, get_transformation
from toys.spatial import MPP, toy_record, toy_sdata

from stsr.geometry import Grid
from stsr.spatial import grid_to_labels, labels_to_grid, put


@st.composite
def grids(draw) -> Grid:
    """Grids of any size, angle and hand, with any cells inside tissue."""
    angle = draw(st.floats(-np.pi, np.pi))
    side = draw(st.floats(2, 100))
    flip = draw(st.sampled_from([1, -1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.eye(3)
    affine[:2, :2] = side * turn @ np.diag([1, flip])
    affine[:2, 2] = draw(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)))
    mask = draw(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
    return Grid(affine, mask)


@given(grids(), st.floats(0.05, 5))
@settings(max_examples=60, deadline=None)
def test_round_trip_in_memory(grid, mpp):
    sdata = toy_sdata(mpp=mpp)
    sdata["grid"] = grid_to_labels(grid, toy_record(mpp=mpp))
    again = labels_to_grid(sdata, "grid")
    np.testing.assert_array_equal(again.mask, grid.mask)
    np.testing.assert_allclose(again.affine, grid.affine, rtol=1e-12, atol=1e-9)


def test_round_trip_through_the_disk(tmp_path):
    angle = 0.3
    turn = 8 * np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
    grid = Grid(np.block([[turn, np.array([[120.0], [70.0]])], [np.zeros((1, 2)), np.ones((1, 1))]]), np.eye(5, 7) == 0)
    sdata = toy_sdata()
    sdata.write(tmp_path / "a.zarr")
    put(sdata, "grid_008um", grid_to_labels(grid, toy_record()))
    again = labels_to_grid(sd.read_zarr(tmp_path / "a.zarr"), "grid_008um")
    np.testing.assert_array_equal(again.labels, grid.labels)
    np.testing.assert_allclose(again.xy, grid.xy, rtol=1e-12)


def test_spatialdata_finds_cells_where_the_grid_has_them():
    """Centroids by spatialdata, in pixels of the section, are the grid's own."""
    grid = Grid(np.array([[8.0, 0, 100], [0, 8.0, 60], [0, 0, 1]]), np.array([[1, 1, 0], [0, 1, 1]], dtype=bool))
    element = grid_to_labels(grid, toy_record())
    for system in ("toy", "global"):
        centres = sd.get_centroids(element, coordinate_system=system).compute()
        inside = centres.loc[centres.index > 0]
        np.testing.assert_allclose(inside[["x", "y"]].to_numpy(), grid.xy / MPP)


def test_both_coordinate_systems_agree():
    element = grid_to_labels(Grid(np.diag([8.0, 8, 1]), np.ones((2, 2), bool)), toy_record())
    assert get_transformation(element, "toy") == get_transformation(element, "global")
    assert element.dtype == np.uint32


def test_what_is_no_grid_is_refused():
    sdata = toy_sdata()
    here = {"toy": Scale([16, 16], axes=("x", "y"))}
    raster = np.array([[1, 2], [3, 4]], dtype=np.uint32)
    sdata["tissue"] = Labels2DModel.parse((raster > 0).astype(np.uint8), dims=("y", "x"), transformations=here)
    sdata["pyramid"] = Labels2DModel.parse(
        np.tile(raster, (8, 8)), dims=("y", "x"), scale_factors=[2], transformations=here
    )
    sdata["elsewhere"] = Labels2DModel.parse(raster, dims=("y", "x"), transformations={"global": Identity()})
    stretched = {"toy": Scale([16, 20], axes=("x", "y"))}
    sdata["stretched"] = Labels2DModel.parse(raster, dims=("y", "x"), transformations=stretched)

    with pytest.raises(KeyError, match=r"grid='grid_8' not found; sdata holds the labels tissue, pyramid"):
        labels_to_grid(sdata, "grid_8")
    with pytest.raises(ValueError, match=r"grid='tissue' does not number its cells"):
        labels_to_grid(sdata, "tissue")
    with pytest.raises(ValueError, match=r"grid='pyramid' has several scales"):
        labels_to_grid(sdata, "pyramid")
    with pytest.raises(ValueError, match=r"'elsewhere' is not in the coordinate system 'toy', only in global"):
        labels_to_grid(sdata, "elsewhere")
    with pytest.raises(ValueError, match=r"keep cells square"):
        labels_to_grid(sdata, "stretched")
