"""Crops that SpatialData makes are sections like any other: cells keep their ids and lie where they lay."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import shapely
import spatialdata as sd
from hypothesis import given, settings
from hypothesis import strategies as st
from spatialdata.transformations import Identity, Sequence, Translation, get_transformation, set_transformation
from toys.result import add_grid, add_result
from toys.spatial import MPP, toy_sdata

import stsr
from stsr.geometry import Grid
from stsr.spatial import image_pyramid, labels_to_grid, open_store, read_raster, read_section, transformations
from stsr.spatial.bins import table_grid
from stsr.spatial.crops import crops

COS, SIN = 16 * np.cos(0.3), 16 * np.sin(0.3)
GRIDS = {
    "straight": Grid(np.array([[16.0, 0, 30], [0, 16, 20], [0, 0, 1]]), np.add.outer(np.arange(22), np.arange(18)) > 3),
    "rotated": Grid(
        np.array([[COS, -SIN, 120], [SIN, COS, 10], [0, 0, 1]]), np.add.outer(np.arange(20), np.arange(18)) > 3
    ),
    "flipped": Grid(
        np.array([[-16.0, 0, 330], [0, 16, 20], [0, 0, 1]]), np.add.outer(np.arange(22), np.arange(18)) > 3
    ),
}


def section(name: str, *, result: bool = True) -> sd.SpatialData:
    """A toy with a grid, and the number of each cell as its expression."""
    sdata = toy_sdata()
    grid = add_grid(sdata, GRIDS[name])
    if result:
        add_result(sdata, np.arange(1, grid.n_cells + 1, dtype=np.float32)[:, None], ["UMOD"])
    return sdata


def box(sdata, low, high, system="toy"):
    return sd.bounding_box_query(
        sdata, axes=("x", "y"), min_coordinate=low, max_coordinate=high, target_coordinate_system=system
    )


@pytest.fixture(scope="module")
def sections():
    return {name: section(name) for name in GRIDS}


@settings(max_examples=15)
@given(
    name=st.sampled_from(sorted(GRIDS)),
    corner=st.tuples(st.floats(-50, 300), st.floats(-50, 300)),
    again=st.tuples(st.floats(0, 60), st.floats(0, 60)),
    system=st.sampled_from(["toy", "global"]),
)
def test_cells_of_a_crop_keep_ids_and_place(sections, name, corner, again, system):
    whole, crop = GRIDS[name], box(sections[name], np.array(corner), np.array(corner) + 350, system)
    for _ in range(2):
        grid, cells = table_grid(crop, "sr_008um")
        number = crop["sr_008um"].X[:, 0].astype(int)
        np.testing.assert_array_equal(grid.known_as[cells], number)
        np.testing.assert_allclose(grid.xy[cells], whole.xy[number - 1], atol=1e-6)
        np.testing.assert_array_equal(np.sort(number), grid.known_as)
        crop = box(crop, np.array(corner) + again, np.array(corner) + 320, system)  # a crop of the crop


def test_a_crop_is_read_again_from_its_own_store(sections, tmp_path):
    box(sections["rotated"], [90, 110], [500, 600]).write(tmp_path / "crop.zarr")
    for again in (sd.read_zarr(tmp_path / "crop.zarr"), open_store(tmp_path / "crop.zarr")):
        grid, cells = table_grid(again, "sr_008um")
        number = again["sr_008um"].X[:, 0].astype(int)
        np.testing.assert_allclose(grid.xy[cells], GRIDS["rotated"].xy[number - 1], atol=1e-6)


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: sd.polygon_query(
            s, shapely.Polygon([(90, 80), (600, 140), (420, 640)]), target_coordinate_system="toy"
        ),
        lambda s: s.query.bounding_box(
            axes=("x", "y"), min_coordinate=[90, 80], max_coordinate=[500, 600], target_coordinate_system="global"
        ),
        lambda s: s.filter_by_coordinate_system("toy"),
        lambda s: s.subset(["grid_008um", "sr_008um"]),
        lambda s: s.filter_by_coordinate_system("global").subset(["grid_008um", "sr_008um", "toy", "table"]),
    ],
    ids=["polygon", "query", "system", "subset", "subset of system"],
)
def test_other_ways_to_take_a_part(sections, ask):
    part = ask(sections["rotated"])
    grid, cells = table_grid(part, "sr_008um")
    number = part["sr_008um"].X[:, 0].astype(int)
    np.testing.assert_allclose(grid.xy[cells], GRIDS["rotated"].xy[number - 1], atol=1e-6)
    stsr.tl.aggregate(part, "sr_008um", by="grid_008um", key_added="again")
    np.testing.assert_allclose(part["again"].X[:, 0], np.sort(number), rtol=1e-5)


def test_a_grid_cropped_before_anything_was_predicted_is_made_anew():
    sdata = section("straight", result=False)
    crop = box(sdata, [100, 100], [500, 500])
    with pytest.raises(
        ValueError, match=r"grid='grid_008um' was cropped before anything was predicted on it.*one cell off"
    ):
        labels_to_grid(crop, "grid_008um")
    crop["marks"] = sd.models.ShapesModel.parse(
        np.array([[300.0, 300]]), geometry=0, radius=150, transformations={"toy": Identity()}
    )
    stsr.pp.make_grid(crop, bin_size=16, tissue="marks", key_added="grid_008um_crop")
    assert labels_to_grid(crop, "grid_008um_crop").ids is None
    # nothing is cut off above and to the left of the first cell's middle, and yet SpatialData moves the grid by a cell
    low = GRIDS["straight"].affine[:2, 2] / MPP + 8
    with pytest.raises(ValueError, match="was cropped"):
        labels_to_grid(box(sdata, low, [2000, 2000]), "grid_008um")


def test_a_place_that_the_user_gave_the_grid_counts():
    sdata = section("straight")
    old = get_transformation(sdata["grid_008um"], "toy")
    set_transformation(sdata["grid_008um"], Sequence([old, Translation([7.5, 0], axes=("x", "y"))]), "toy")
    np.testing.assert_allclose(labels_to_grid(sdata, "grid_008um").xy, GRIDS["straight"].xy + [7.5 * MPP, 0])
    assert crops(sdata["grid_008um"], "toy") == 0
    crop = box(sdata, [100, 100], [500, 500])
    assert crops(crop["grid_008um"], "toy") == 1


def test_a_grid_in_other_pixels_is_no_grid():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        turned = section("rotated").transform_to_coordinate_system("toy")
    with pytest.raises(ValueError, match="grid='grid_008um' does not number its cells.*leave it in its own pixels"):
        labels_to_grid(turned, "grid_008um")


def test_a_prediction_on_a_cropped_grid_annotates_its_labels(sections):
    crop = box(sections["rotated"], [90, 80], [700, 640])
    read = read_section(crop, genes=["UMOD"], grid="grid_008um")
    assert len(read.spots) < 12
    stsr.tl.fit_super_resolution(
        crop, method="nearest", genes=["UMOD"], grid="grid_008um", bin_size=16, key_added="new", progress=False
    )
    new, old = crop["new"], crop["sr_008um"]
    assert new.obs["bin_id"].tolist() == old.obs["bin_id"].tolist()
    np.testing.assert_allclose(new.obsm["spatial"], old.obsm["spatial"], atol=1e-6)
    assert set(np.unique(crop["grid_008um"])) - {0} == set(new.obs["bin_id"])
    stsr.pl.gene_map(crop, "UMOD", table="new", image=False)


def test_pyramids_are_cropped_in_memory_and_on_disk(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 1301, 1100)).astype(np.uint8)
    import dask.array as da

    sdata = toy_sdata()
    sdata["scan"] = image_pyramid(da.from_array(pixels), {"toy": Identity(), "global": Identity()})
    sdata.write(tmp_path / "a.zarr")
    for each in (sdata, sd.read_zarr(tmp_path / "a.zarr")):
        crop = box(each, [200, 300], [712, 1112])
        raster = read_raster(crop, "scan")
        np.testing.assert_array_equal(np.asarray(raster.levels[0][0]), pixels[:, 300:1112, 200:712])
        np.testing.assert_allclose(raster.levels[0][1][:2, 2], [200 * MPP, 300 * MPP])


def test_image_coordinates_are_those_of_spatialdata():
    import dask.array as da
    from spatialdata.models import Image2DModel

    pixels = np.zeros((3, 1301, 1100), dtype=np.uint8)
    ours = image_pyramid(da.from_array(pixels), {"toy": Identity()})
    theirs = Image2DModel.parse(pixels, dims=("c", "y", "x"), scale_factors=[2])
    for axis in ("x", "y"):
        np.testing.assert_allclose(ours["scale0"].coords[axis], theirs["scale0"].coords[axis])


def test_features_of_a_crop_lie_on_its_grid(sections):
    sdata = section("straight")
    place = transformations(GRIDS["straight"].affine, stsr.spatial.record(sdata))
    values = GRIDS["straight"].labels[None].astype(np.float32)
    sdata["features"] = sd.models.Image2DModel.parse(values, dims=("c", "y", "x"), transformations=place)
    crop = box(sdata, [130, 110], [500, 600])
    read = read_section(crop, genes=["UMOD"], grid="grid_008um", features="features", with_spots=False)
    found = read.cell_features(slice(None))[:, 0].astype(int)
    np.testing.assert_array_equal(found, read.grid.known_as)


def test_cells_are_summed_into_a_cropped_grid_where_it_lies(sections):
    crop = box(sections["straight"], [160, 150], [500, 600])  # its left edge is in the first half of a cell
    assert not np.allclose(
        stsr.spatial.um_affine(crop["grid_008um"], stsr.spatial.record(crop), name=""),
        labels_to_grid(crop, "grid_008um").affine,
    )
    stsr.tl.aggregate(crop, "sr_008um", by="grid_008um", key_added="again")
    np.testing.assert_allclose(crop["again"].X, crop["sr_008um"].X, rtol=1e-5)


def test_labels_that_may_be_a_pixel_off_are_told(sections, caplog):
    crop = box(sections["straight"], [150, 130], [500, 600])
    blocks = np.kron(np.arange(1, 13).reshape(3, 4), np.ones((3, 3))).astype(np.uint32)
    place = Sequence(
        [Translation([1, 0], axes=("x", "y")), get_transformation(sections["straight"]["grid_008um"], "toy")]
    )
    crop["blocks"] = sd.models.Labels2DModel.parse(blocks, dims=("y", "x"), transformations={"toy": place})
    stsr.tl.aggregate(crop, "sr_008um", by="blocks")
    assert "by='blocks' was cropped by SpatialData, which may have put it one pixel, 16 µm, off" in caplog.text
