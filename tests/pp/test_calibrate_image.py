"""Calibrating an image: scale, stain, tissue, figures, and what is refused."""

from __future__ import annotations

import importlib
import json
import logging

import anndata as ad
import dask.array as da
import geopandas as gpd
import numpy as np
import pytest
import spatialdata as sd
from shapely.geometry import box
from spatialdata.models import Labels2DModel, ShapesModel
from spatialdata.transformations import Identity, Scale, get_transformation
from toys.imaging import tissue_image
from toys.spatial import toy_record

from stsr.imaging import estimate_stain
from stsr.imaging.stain import REFERENCE_STAINS
from stsr.pp import calibrate_image, make_grid
from stsr.spatial import create_store, image_pyramid, labels_to_grid, made, open_store, put, read_raster, set_record
from stsr.spatial.assemble import disc_spots

MPP = 0.8
HERE = {"toy": Identity(), "global": Identity()}
IMAGE = tissue_image(900, 1210, mpp=MPP, margin=80)


@pytest.fixture(autouse=True)
def few_windows(monkeypatch):
    """Stain and focus from fewer windows than usual, most of which would overlap on images as small."""
    monkeypatch.setattr(importlib.import_module("stsr.pp.calibrate_image"), "_SAMPLE_TILES", 9)


def section(image: np.ndarray = IMAGE, mpp: float = MPP) -> sd.SpatialData:
    """A section with nothing but its full-resolution image, in memory."""
    pixels = da.from_array(np.moveaxis(image, -1, 0), chunks=(3, 700, 700))
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


@pytest.mark.parametrize("margin", [0, 60, 128])
def test_a_dark_margin_around_the_image_does_not_change_the_stain(margin):
    image = tissue_image(400, 400, mpp=2.0, margin=80)
    padded = np.pad(image, ((200, 200), (200, 200), (0, 0)), constant_values=margin)
    means = []
    for each, place in ((image, slice(400)), (padded, slice(200, 600))):
        sdata = section(each, mpp=2.0)
        calibrate_image(sdata, target_mpp=2.0)
        means.append(pixels(sdata, "he")[place, place].mean(axis=(0, 1)))
    np.testing.assert_allclose(*means, atol=8)
    assert np.asarray(sdata["tissue"]).mean() == pytest.approx(0.64 / 4, rel=0.2)


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


def spotted(image: np.ndarray = IMAGE, *, where: tuple[float, float, float, float] = (100, 100, 860, 620)):
    """The toy with Visium spots on a part of it, left, top, right and bottom in µm."""
    sdata = section(image)
    x, y = np.meshgrid(np.arange(where[0], where[2], 100.0), np.arange(where[1], where[3], 100.0))
    table = ad.AnnData(
        np.ones((x.size, 2), dtype=np.float32), obsm={"spatial": np.column_stack([x.ravel(), y.ravel()]) / MPP}
    )
    spots = disc_spots(table, "toy", radius=40.0)
    sdata["toy"], sdata["table"] = spots["toy"], spots["table"]
    return sdata


def smooth_image() -> np.ndarray:
    """The toy whose right half is smooth, as muscle beside a wound."""
    image = IMAGE.copy()
    noise = np.random.default_rng(0).normal(0, 1.5, (700, 505, 3))
    image[100:800, 605:1110] = np.clip((190, 130, 170) + noise, 0, 255)
    return image


def under(sdata: sd.SpatialData) -> np.ndarray:
    """(spots,) share of each spot's disc that is tissue."""
    tissue = np.asarray(sdata["tissue"])
    rows, cols = np.indices(tissue.shape) * 8 + 4.0
    places = sdata["table"].obsm["spatial"] * MPP
    return np.array([tissue[np.hypot(cols - x, rows - y) < 27.5].mean() for x, y in places])


def test_spots_that_contrast_leaves_out_are_tissue_and_the_log_says_so(caplog):
    sdata = spotted(smooth_image())
    with caplog.at_level(logging.WARNING, logger="stsr"):
        calibrate_image(sdata, target_mpp=2.0)
    assert (under(sdata) == 1).all()
    qc = sdata.attrs["stsr"]["image_qc"]
    assert qc["tissue_detector"] != "given"
    assert 0 <= qc["spots_off_tissue_by_detector"] <= 0.05
    assert qc["spots_off_tissue_by_image"] <= 0.02 or "lie where the image alone shows none" in caplog.text


def test_spots_beyond_all_that_the_image_shows_are_tissue_with_a_warning(caplog):
    sdata = spotted(tissue_image(900, 1210, mpp=MPP, margin=200))
    with caplog.at_level(logging.WARNING, logger="stsr"):
        calibrate_image(sdata, target_mpp=2.0)
    assert (under(sdata) == 1).all()
    share = sdata.attrs["stsr"]["image_qc"]["spots_off_tissue_by_image"]
    assert share == pytest.approx(26 / 48, abs=0.08)
    assert f"{100 * share:.1f} % of the spots called in tissue lie where the image alone shows none" in caplog.text
    assert "stsr.pp.calibrate_image(sdata, tissue=..., overwrite=True)" in caplog.text


def test_spots_off_every_mask_and_none_called_in_tissue(caplog):
    """All spots on glass: the image may be another section's. None in tissue: the image alone tells."""
    blot = tissue_image(900, 1210, mpp=MPP, margin=80)
    blot[:, :900] = 240
    sdata = spotted(blot, where=(100, 100, 500, 620))
    with caplog.at_level(logging.WARNING, logger="stsr"):
        calibrate_image(sdata, target_mpp=2.0)
    assert "100.0 % of the spots called in tissue" in caplog.text
    assert "Check that the image is of this section" in caplog.text
    assert (under(sdata) == 1).all()
    sdata["table"].obs["in_tissue"] = 0
    calibrate_image(sdata, target_mpp=2.0, overwrite=True)
    assert not under(sdata).any()
    calibrate_image(sdata, target_mpp=2.0, tissue=box(0, 0, 500, 500), overwrite=True)
    assert "spots_off_tissue" not in sdata.attrs["stsr"]["image_qc"]


def test_spots_that_the_image_shows_are_worth_no_word(caplog):
    sdata, alone = spotted(where=(150, 150, 800, 560)), section()
    with caplog.at_level(logging.WARNING, logger="stsr"):
        calibrate_image(sdata, target_mpp=2.0)
        calibrate_image(alone, target_mpp=2.0)
    assert "spots" not in caplog.text
    np.testing.assert_array_equal(np.asarray(sdata["tissue"]), np.asarray(alone["tissue"]))
    assert sdata.attrs["stsr"]["image_qc"]["spots_off_tissue_by_image"] == 0
    assert "spots_off_tissue_by_image" not in alone.attrs["stsr"]["image_qc"]


def test_without_spots_the_log_says_when_the_mask_is_unsure(caplog):
    rng = np.random.default_rng(0)
    blotched = np.clip(200 + 40 * rng.random((900, 1210, 1)) - [0, 60, 20] * (rng.random((900, 1210, 1)) > 0.5), 0, 255)
    blotched[:, :600] = (225, 170, 205)
    sdata = section(blotched.astype(np.uint8))
    with caplog.at_level(logging.WARNING, logger="stsr"):
        calibrate_image(sdata, target_mpp=2.0)
    assert sdata.attrs["stsr"]["image_qc"]["tissue_confidence"] < 0.8
    assert "The tissue mask is uncertain" in caplog.text


@pytest.mark.parametrize(
    "mask",
    [
        np.pad(np.ones((200, 300), dtype=np.uint8), ((100, 600), (400, 510))),
        box(400, 100, 700, 300),
        gpd.GeoDataFrame(geometry=[box(400, 100, 700, 300)]),
    ],
)
def test_a_mask_of_ones_own_wins(mask, caplog):
    sdata = spotted()
    with caplog.at_level(logging.WARNING, logger="stsr"):
        calibrate_image(sdata, target_mpp=2.0, tissue=mask)
    tissue = np.asarray(sdata["tissue"])
    rows, cols = np.nonzero(tissue)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (10, 29, 40, 69)
    assert tissue.sum() == 20 * 30
    qc = sdata.attrs["stsr"]["image_qc"]
    assert qc["tissue_detector"] == "given"
    assert qc["spots_off_tissue"] > 0.5
    assert "of the spots lie off the tissue that was given" in caplog.text
    # and a mask found takes its place again when asked for
    calibrate_image(sdata, target_mpp=2.0, overwrite=True)
    assert np.asarray(sdata["tissue"]).sum() > 4000


def test_a_mask_of_an_element_is_taken_by_its_name():
    sdata = section()
    sdata["gland"] = ShapesModel.parse(gpd.GeoDataFrame(geometry=[box(400, 100, 700, 300)]), transformations=HERE)
    calibrate_image(sdata, target_mpp=2.0, tissue="gland")
    assert np.asarray(sdata["tissue"]).sum() == 20 * 30
    with pytest.raises(KeyError, match="tissue='glnd' is no labels or shapes element; sdata holds tissue, gland"):
        calibrate_image(sdata, target_mpp=2.0, tissue="glnd", overwrite=True)


def test_own_tissue_shapes_are_used_and_kept_and_another_mask_beside_them_is_refused():
    sdata = section()
    sdata["tissue"] = ShapesModel.parse(gpd.GeoDataFrame(geometry=[box(400, 100, 700, 300)]), transformations=HERE)
    with pytest.raises(ValueError, match="sdata holds an element 'tissue' of your own, which is not replaced"):
        calibrate_image(sdata, target_mpp=2.0, tissue=box(0, 0, 900, 900))
    assert "he" not in sdata
    calibrate_image(sdata, target_mpp=2.0, tissue="tissue")
    assert sdata.attrs["stsr"]["image_qc"]["tissue_fraction"] == pytest.approx(600 / (90 * 121))
    assert list(sdata.shapes) == ["tissue"]
    assert "tissue" not in sdata.labels
    make_grid(sdata, bin_size=8)
    assert labels_to_grid(sdata, "grid_008um").n_cells == pytest.approx(600, rel=0.1)


def test_the_tissue_is_written_first_so_that_the_same_call_makes_good_a_kill(tmp_path, monkeypatch):
    sdata = create_store(section(), tmp_path / "section.zarr")
    written = []

    def killed(sdata, name, *args, **options):
        written.append(name)
        if name == "he":
            raise KeyboardInterrupt
        put(sdata, name, *args, **options)

    for module in ("calibrate_image", "_tissue"):
        monkeypatch.setattr(importlib.import_module(f"stsr.pp.{module}"), "put", killed)
    with pytest.raises(KeyboardInterrupt):
        calibrate_image(sdata, target_mpp=2.0)
    assert written == ["tissue", "he"]
    monkeypatch.undo()
    again = open_store(tmp_path / "section.zarr")
    calibrate_image(again, target_mpp=2.0)
    assert {"he", "tissue"} <= {name for _, name, _ in open_store(tmp_path / "section.zarr").gen_elements()}


def test_a_calibrated_section_without_a_mask_gets_one():
    """As one that was killed by an earlier version between the image and the tissue."""
    sdata = section()
    calibrate_image(sdata, target_mpp=2.0)
    before = np.asarray(sdata["tissue"])
    del sdata["tissue"]
    make_grid(sdata, bin_size=16)
    np.testing.assert_array_equal(np.asarray(sdata["tissue"]), before)


def test_the_figures_are_kept_with_the_image():
    sdata = section()
    calibrate_image(sdata, target_mpp=2.0)
    assert made(sdata, "he") == {"image_qc": sdata.attrs["stsr"]["image_qc"]}
    assert made(sdata, "tissue")["tissue_detector"] == "contrast"
    assert json.loads(json.dumps(made(sdata, "he"))) == made(sdata, "he")


@pytest.mark.parametrize("key", ["tissue", "Tissue", "toy_full_image", "a/b", ""])
def test_a_name_that_cannot_be_the_images_is_refused_before_anything_is_written(key):
    sdata = section()
    with pytest.raises(ValueError, match="key_added="):
        calibrate_image(sdata, key_added=key, overwrite=True)
    assert "tissue" not in sdata


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 3), (11, 10)])
@pytest.mark.parametrize("mpp", [0.5, 4.0])
def test_images_of_a_few_pixels_are_calibrated(shape, mpp):
    """Smaller than a pixel of the mask, most of them."""
    sdata = section(np.full((*shape, 3), (160, 80, 140), dtype=np.uint8), mpp=mpp)
    calibrate_image(sdata, target_mpp=4.0)
    assert np.asarray(sdata["tissue"]).all()
    assert min(pixels(sdata, "he").shape) >= 1
    calibrate_image(sdata, target_mpp=4.0, tissue=np.ones(shape), overwrite=True)
    assert np.asarray(sdata["tissue"]).all()
    with pytest.raises(ValueError, match="shows no tissue"):
        calibrate_image(section(np.full((*shape, 3), 250, dtype=np.uint8), mpp=mpp))
