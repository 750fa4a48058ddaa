"""Calibrating an image: scale, stain, tissue, figures, and what is refused."""

from __future__ import annotations

import json
import logging

import dask.array as da
import numpy as np
import pytest
import spatialdata as sd
from imaging_toys import tissue_image
from spatial_toys import toy_record
from spatialdata.models import Labels2DModel
from spatialdata.transformations import Identity, Scale, get_transformation

from stsr.imaging import estimate_stain
from stsr.imaging.stain import REFERENCE_STAINS
from stsr.pp import calibrate_image
from stsr.spatial import create_store, image_pyramid, open_store, read_raster, set_record

MPP = 0.8
HERE = {"toy": Identity(), "global": Identity()}
IMAGE = tissue_image(900, 1210, mpp=MPP, margin=80)


def section(image: np.ndarray = IMAGE, mpp: float = MPP) -> sd.SpatialData:
    """A section with nothing but its full-resolution image, in memory."""
    pixels = da.from_array(np.moveaxis(image, -1, 0), chunks=(3, 400, 400))
    sdata = sd.SpatialData(images={"toy_full_image": image_pyramid(pixels, HERE)})
    set_record(sdata, toy_record(mpp=mpp))
    return sdata


def pixels(sdata: sd.SpatialData, key: str) -> np.ndarray:
    """(height, width, 3) of the finest level."""
    return np.moveaxis(np.asarray(sdata[key]["scale0"]["image"]), 0, -1)


def test_writes_a_pyramid_and_a_mask_that_lie_where_the_image_lies(tmp_path):
    sdata = create_store(section(), tmp_path / "section.zarr")
    assert calibrate_image(sdata, target_mpp=1.0) == "he"
    sdata = open_store(tmp_path / "section.zarr")

    scales = list(sdata["he"].values())
    assert scales[0]["image"].shape == (3, 720, 968)
    assert scales[0]["image"].dtype == np.uint8
    assert list(scales[0]["image"].coords["c"].to_numpy()) == ["r", "g", "b"]
    for name, element, mpp in (("he", sdata["he"], 1.0), ("tissue", sdata["tissue"], 8.0)):
        for system in ("toy", "global"):
            matrix = get_transformation(element, system).to_affine_matrix(("x", "y"), ("x", "y"))
            np.testing.assert_allclose(matrix, np.diag([mpp / MPP, mpp / MPP, 1]), err_msg=name)

    tissue = np.asarray(sdata["tissue"])
    assert tissue.shape == (90, 121)
    assert set(np.unique(tissue)) == {0, 1}
    assert tissue[12:-12, 12:-12].all()
    assert not tissue[:7].any()


def test_resampling_keeps_places_and_averages():
    image = np.full((400, 600, 3), 240, dtype=np.uint8)
    image[100:300, 200:400] = tissue_image(200, 200, mpp=1.0)
    sdata = section(image, mpp=1.0)
    calibrate_image(sdata, target_mpp=2.0, stain=None)
    expected = image.reshape(200, 2, 300, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(pixels(sdata, "he"), expected, atol=0.51)
    frame = np.diag([4.0, 4.0, 1.0])
    before, after = (read_raster(sdata, key).read(frame, (100, 150)) for key in ("toy_full_image", "he"))
    assert np.abs(before.astype(int) - after).max() <= 1


def test_never_samples_up(caplog):
    sdata = section()
    with caplog.at_level(logging.WARNING, logger="stsr"):
        calibrate_image(sdata, target_mpp=0.25, stain=None)
    assert "The image has 0.8 µm/px and is not up-sampled to target_mpp=0.25" in caplog.text
    np.testing.assert_array_equal(pixels(sdata, "he"), IMAGE)
    assert sdata.attrs["stsr"]["image_qc"]["mpp"] == pytest.approx(MPP)


@pytest.mark.parametrize("stain", ["macenko", "reinhard"])
def test_stain_goes_to_the_reference_without_seams(stain):
    sdata = section()
    calibrate_image(sdata, target_mpp=MPP, stain=stain)
    qc = sdata.attrs["stsr"]["image_qc"]
    assert qc["stain"] == stain
    changed = pixels(sdata, "he")
    if stain == "macenko":
        again = estimate_stain(changed.reshape(-1, 3), "macenko", background=(255,) * 3)
        np.testing.assert_allclose(again.stains, REFERENCE_STAINS, atol=0.1)
    # each colour of the source has become one colour, whatever the tile
    codes = IMAGE.astype(np.int64) @ (65536, 256, 1)
    _, first, inverse = np.unique(codes.ravel(), return_index=True, return_inverse=True)
    np.testing.assert_array_equal(changed.reshape(-1, 3), changed.reshape(-1, 3)[first][inverse])


def test_figures_are_kept(tmp_path):
    sdata = create_store(section(), tmp_path / "section.zarr")
    calibrate_image(sdata, target_mpp=1.0)
    qc = open_store(tmp_path / "section.zarr").attrs["stsr"]["image_qc"]
    assert json.loads(json.dumps(qc)) == qc == sdata.attrs["stsr"]["image_qc"]
    assert qc["mpp"] == 1.0
    assert qc["background"] == pytest.approx([240] * 3, abs=1.5)
    assert qc["tissue_fraction"] == pytest.approx((1 - 160 / 720) * (1 - 160 / 968), abs=0.05)
    assert qc["stain_angle"] > 10
    assert len(qc["haematoxylin"]) == len(qc["eosin"]) == 3
    assert qc["focus"] > 0


def test_a_stain_that_cannot_be_estimated_is_skipped_with_its_reason(caplog):
    grey = np.repeat(IMAGE[..., 1:2], 3, axis=-1)
    sdata = section(grey)
    with caplog.at_level(logging.WARNING, logger="stsr"):
        calibrate_image(sdata, target_mpp=MPP)
    qc = sdata.attrs["stsr"]["image_qc"]
    assert qc["stain"] is None
    assert qc["stain_skipped"] in caplog.text
    np.testing.assert_array_equal(pixels(sdata, "he"), grey)


def test_what_exists_is_kept_unless_told_otherwise():
    sdata = section()
    calibrate_image(sdata, target_mpp=2.0)
    with pytest.raises(ValueError, match="key_added='he' exists already; pass overwrite=True"):
        calibrate_image(sdata, target_mpp=1.0)
    assert pixels(sdata, "he").shape[:2] == (360, 484)
    calibrate_image(sdata, target_mpp=1.0, overwrite=True)
    assert pixels(sdata, "he").shape[:2] == (720, 968)


def test_own_tissue_labels_are_used_and_kept():
    sdata = section()
    mine = np.zeros((45, 60), dtype=np.uint32)
    mine[10:20, 10:30] = 7
    to_pixel = Scale([20, 20], axes=("x", "y"))
    sdata["tissue"] = Labels2DModel.parse(mine, dims=("y", "x"), transformations={"toy": to_pixel})
    calibrate_image(sdata, target_mpp=2.0, overwrite=True)
    np.testing.assert_array_equal(np.asarray(sdata["tissue"]), mine)
    assert sdata.attrs["stsr"]["image_qc"]["tissue_fraction"] == pytest.approx(200 / 2722.5, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_mpp": 0.01}, "target_mpp=0.01 is not allowed; pass a number from 0.05 to 5"),
        ({"target_mpp": float("nan")}, "target_mpp=nan"),
        ({"stain": "vahadane"}, "stain='vahadane' is not known; choose one of macenko, reinhard or None"),
    ],
)
def test_bad_options(options, message):
    sdata = section()
    with pytest.raises(ValueError, match=message):
        calibrate_image(sdata, **options)
    assert "he" not in sdata


def test_without_tissue_the_store_stays_as_it_was(tmp_path):
    blank = np.full((300, 300, 3), 240, dtype=np.uint8)
    sdata = create_store(section(blank), tmp_path / "section.zarr")
    with pytest.raises(ValueError, match="shows no tissue"):
        calibrate_image(sdata)
    assert list(open_store(tmp_path / "section.zarr").images) == ["toy_full_image"]
