"""Sections of which there is only an image: what is kept, what is refused, and what the verbs say to them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tifffile
from PIL import Image
from toys.spatial import toy_image

import stsr
from stsr.spatial import open_store, read_raster, read_section, record

PIXELS = toy_image(300, 400)


@pytest.fixture
def take(tmp_path):
    def run(image=PIXELS, **options):
        return stsr.pp.from_image(
            image, **({"mpp": 2.0, "store": tmp_path / "a.zarr", "dataset_id": "biopsy"} | options)
        )

    return run


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    """A synthetic section's image alone, with a grid."""
    sdata = stsr.datasets.synthetic_section(size=(600, 600), n_genes=12, seed=3)
    pixels = np.asarray(sdata["synthetic_full_image"]["scale0"]["image"].data).transpose(1, 2, 0)
    path = tmp_path_factory.mktemp("blind") / "b.zarr"
    return stsr.pp.from_image(pixels, mpp=1.0, store=path, dataset_id="blind")


def test_the_record_says_that_there_are_no_spots(take):
    facts = record(open_store(take().path))
    assert (facts.technology, facts.mpp, facts.mpp_source) == ("image", 2.0, "user")
    assert facts.spots is facts.table is facts.spot_size is None


@pytest.mark.parametrize("kind", ["array", "rgba", "png", "tif"])
def test_pixels_are_kept(take, tmp_path, kind):
    image = {"array": PIXELS, "rgba": np.dstack([PIXELS, np.full((300, 400, 1), 255, np.uint8)])}.get(
        kind, tmp_path / f"he.{kind}"
    )
    if kind == "png":
        Image.fromarray(PIXELS).save(image)
    if kind == "tif":
        tifffile.imwrite(image, PIXELS, photometric="rgb")
    kept = np.asarray(read_raster(take(image), "biopsy_full_image").levels[0][0])
    np.testing.assert_array_equal(kept.transpose(1, 2, 0), PIXELS)


def test_another_resolution_in_the_file_is_told(take, tmp_path, caplog):
    path = tmp_path / "he.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", resolution=(1e4 / 0.5,) * 2, resolutionunit="CENTIMETER")
    with caplog.at_level(logging.WARNING, logger="stsr"):
        take(path)
    assert "he.tif states 0.5 µm per pixel; mpp=2 is taken." in caplog.messages


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (PIXELS, {"mpp": 72.0}, "mpp=72.0 µm per pixel is outside 0.05 to 5"),
        (PIXELS, {"mpp": "0.5"}, "mpp='0.5' is not allowed; pass a number that is finite"),
        (PIXELS, {"mpp": np.nan}, "mpp=nan is not allowed"),
        (PIXELS, {"mpp": None}, "mpp=None is not allowed"),
        (PIXELS, {"mpp": True}, "mpp=True is not allowed"),
        (PIXELS[:1, :1], {}, "has 1 x 1 pixels; pass the full-resolution H&E"),
        (PIXELS, {"dataset_id": "a/b"}, "dataset_id='a/b' cannot name elements"),
        (PIXELS[..., 0, None, None], {}, r"fullres_image has shape \(300, 400, 1, 1\); pass an RGB image as \(rows,"),
        (PIXELS / 255, {}, "holds 300 x 400 x 3 float64 values; pass .rows, columns, 3. uint8 values"),
        ("", {}, "fullres_image is empty"),
    ],
)
def test_what_is_no_section_is_refused(take, image, options, message):
    with pytest.raises(ValueError, match=message):
        take(image, **options)


def test_a_damaged_tile_leaves_no_store_behind(take, tmp_path):
    path = tmp_path / "he.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages.first.dataoffsets[9], tiff.pages.first.databytecounts[9]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = b"\xff" * count
    path.write_bytes(data)
    with pytest.raises(
        ValueError, match=r"^fullres_image='.*he\.tif' cannot be read, it is damaged or cut off; copy it"
    ):
        take(path)
    assert [left.name for left in tmp_path.iterdir()] == ["he.tif"]


def test_a_missing_file_is_named(take):
    with pytest.raises(FileNotFoundError, match=r"fullres_image='no.tif' is not in the working directory"):
        take("no.tif")


def test_verbs_that_ask_for_counts_say_that_there_are_none(blind):
    for verb in (
        stsr.pp.select_genes,
        stsr.pp.densify_spots,
        stsr.pp.register_check,
        stsr.tl.fit_super_resolution,
        lambda sdata: stsr.pp.simulate_spots(sdata, store="never.zarr"),
    ):
        with pytest.raises(ValueError, match="section 'blind' has no spots, only an image"):
            verb(blind)


def test_a_model_predicts_it(blind):
    fitted = stsr.datasets.synthetic_section(size=(700, 700), n_genes=12, seed=1)
    model = stsr.tl.fit_super_resolution(fitted, method="ridge", genes="all", progress=False)
    key = stsr.tl.predict(blind, model, progress=False)
    truth = stsr.datasets.synthetic_section(size=(600, 600), n_genes=12, seed=3)["truth_008um"]
    scores = stsr.tl.evaluate(blind, key, truth=truth, scales=(32,), metrics=("pearson",))
    assert set(scores["where"]) == {"all"}
    assert scores["pearson"].mean() > 0.1
    assert 0.5 < blind[key].X.mean() / truth.X.mean() < 2
    with pytest.raises(ValueError, match="section 'blind' has no spots, only an image"):
        stsr.pl.compare(blind, truth.var_names[0], table=key)
    section = read_section(blind, genes=["ANY"], grid="grid_008um")
    assert section.counts.shape == (0, 1)
    assert section.spots.shape == (0, 2)


def test_methods_that_need_spots_are_refused_with_those_that_do_not(blind):
    fitted = stsr.datasets.synthetic_section(size=(600, 600), n_genes=12)
    model = stsr.tl.fit_super_resolution(fitted, method="idw", genes=5, progress=False)
    with pytest.raises(ValueError, match="section 'blind' has no spots, which method='idw' needs; .*: .*ridge"):
        stsr.tl.predict(blind, model, key_added="idw")
