"""Pyramids, and reading them in µm."""

import dask.array as da
import numpy as np
import pytest
import spatialdata as sd
from spatialdata.models import Image2DModel
from spatialdata.transformations import Identity, Scale
from toys.spatial import MPP, toy_image, toy_sdata

from stsr.spatial import image_pyramid, read_raster


def test_pyramid_levels_are_means_of_four_pixels():
    image = toy_image(1101, 700)
    tree = image_pyramid(da.from_array(image.transpose(2, 0, 1), chunks=(3, 256, 333)), {"global": Identity()})
    levels = [tree[scale]["image"].data.compute().astype(float) for scale in tree]
    assert [level.shape for level in levels] == [(3, 1101, 700), (3, 551, 350), (3, 276, 175)]
    np.testing.assert_array_equal(levels[0], image.transpose(2, 0, 1))
    mean = levels[0][:, :1100, :700].reshape(3, 550, 2, 350, 2).mean(axis=(2, 4))
    assert np.abs(levels[1][:, :550] - mean).max() <= 0.5
    np.testing.assert_array_equal(levels[1][:, 550], np.rint(levels[0][:, 1100].reshape(3, 350, 2).mean(-1)))


def test_window_at_the_image_resolution_is_the_image(tmp_path):
    sdata = toy_sdata()
    sdata.write(tmp_path / "a.zarr")
    raster = read_raster(sd.read_zarr(tmp_path / "a.zarr"), "toy_full_image")
    assert raster.mpp == pytest.approx(MPP)
    window = raster.read(np.array([[MPP, 0, 40 * MPP], [0, MPP, 25 * MPP], [0, 0, 1]]), (60, 70))
    np.testing.assert_array_equal(window, toy_image(1000, 900)[25:85, 40:110])


def test_every_level_lies_on_the_same_tissue():
    raster = read_raster(toy_sdata(), "toy_full_image")
    for array, to_um in raster.levels:
        corner = to_um @ (array.shape[2], array.shape[1], 1)
        np.testing.assert_allclose(corner, (900 * MPP, 1000 * MPP, 1))


def test_transformation_of_the_element_counts():
    sdata = toy_sdata()
    pixels = toy_image(64, 64).transpose(2, 0, 1)
    sdata["he"] = Image2DModel.parse(
        pixels, dims=("c", "y", "x"), transformations={"toy": Scale([4, 4], axes=("x", "y"))}
    )
    assert read_raster(sdata, "he").mpp == pytest.approx(4 * MPP)


def test_channels_are_what_their_names_say():
    sdata = toy_sdata()
    pixels = np.concatenate([toy_image(20, 20), np.full((20, 20, 1), 255, np.uint8)], axis=-1).transpose(2, 0, 1)
    pixels[3, :, 10:] = 0

    def add(name, values, names=None):
        sdata[name] = Image2DModel.parse(
            values, dims=("c", "y", "x"), c_coords=names, transformations={"toy": Identity()}
        )

    add("unnamed", pixels)
    add("rgba", pixels, list("rgba"))
    add("abgr", pixels[::-1], ["A", "Blue", "Green", "Red"])
    add("dyes", pixels[:3], ["DAPI", "GFP", "CD3"])
    over_white = np.where(pixels[3] > 0, pixels[:3], 255)
    for name in ("unnamed", "rgba", "abgr"):
        np.testing.assert_array_equal(read_raster(sdata, name).levels[0][0], over_white)
    with pytest.raises(
        ValueError, match=r"image='dyes' is uint8 with 3 channels \(DAPI, GFP, CD3\); an 8-bit RGB image"
    ):
        read_raster(sdata, "dyes")


def test_other_images_are_refused():
    sdata = toy_sdata()
    pixels = toy_image(20, 20).transpose(2, 0, 1)

    def add(name, values):
        sdata[name] = Image2DModel.parse(values, dims=("c", "y", "x"), transformations={"toy": Identity()})

    add("grey", pixels[:1])
    add("deep", pixels[:3].astype(np.uint16))
    with pytest.raises(ValueError, match=r"image='grey' is uint8 with 1 channels \(0\); an 8-bit RGB image"):
        read_raster(sdata, "grey")
    with pytest.raises(ValueError, match=r"image='deep' is uint16"):
        read_raster(sdata, "deep")
    with pytest.raises(KeyError, match=r"image='he' not found; sdata holds the images toy_full_image"):
        read_raster(sdata, "he")
