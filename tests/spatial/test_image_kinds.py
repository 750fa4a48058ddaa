"""What samples of an image file mean comes from the file: one H&E in files of every kind."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tifffile
from PIL import Image
from toys.image_kinds import (
    CLEAR,
    GLASS,
    GLOW,
    GREY,
    GREYS,
    HE,
    NEAR,
    REFUSED,
    SAME,
    cmyk,
    icc,
    over_white,
    pages,
    sparse,
    transparent_png,
    turned,
)

from stsr.spatial.fullres import fullres_of, open_fullres


def read(path) -> np.ndarray:
    """(rows, columns, 3)."""
    image = open_fullres(path)
    pixels = np.asarray(image.pixels)
    assert image.pixels.dtype == pixels.dtype == np.uint8
    assert image.pixels.shape == pixels.shape
    return np.moveaxis(pixels, 0, -1)


@pytest.fixture
def file(tmp_path):
    """Its name says nothing of what is in it."""
    return tmp_path / "he.tif"


@pytest.mark.parametrize("kind", SAME)
def test_pixels_are_those_of_the_h_and_e(file, kind):
    SAME[kind](file)
    np.testing.assert_array_equal(read(file), HE)


@pytest.mark.parametrize("kind", NEAR)
def test_colours_are_those_of_the_h_and_e(file, kind):
    NEAR[kind](file)
    got = read(file).astype(int)
    assert np.abs(got[55:65, 70:80] - HE[55:65, 70:80]).max() <= 4
    assert np.abs(got[85:, 110:] - HE[85:, 110:]).max() <= 4
    assert np.abs(got - HE).mean() < 2


@pytest.mark.parametrize("kind", CLEAR)
def test_what_is_transparent_is_white(file, kind):
    CLEAR[kind](file)
    assert np.abs(read(file).astype(int) - over_white(HE)).max() <= (2 if kind != "JPEG 2000" else 3)


def test_tiles_that_are_left_out_are_white(file):
    sparse(file)
    got, glass = read(file), (HE == GLASS).all(axis=-1)
    np.testing.assert_array_equal(got[~glass], HE[~glass])
    assert ((got[glass] == 255).all(axis=-1) | (got[glass] == GLASS).all(axis=-1)).all()
    assert (got == 255).all(axis=-1).any()


def test_a_palette_with_a_transparent_colour(file):
    transparent_png(file)
    clear = np.where((HE == HE[0, 0]).all(axis=-1, keepdims=True), 255, HE)
    np.testing.assert_array_equal(read(file), clear)


@pytest.mark.parametrize("kind", GREYS)
def test_grey_stays_grey_and_is_told(file, kind, caplog):
    GREYS[kind](file)
    with caplog.at_level(logging.WARNING, "stsr"):
        got = read(file)
    np.testing.assert_array_equal(got, np.repeat(GREY[..., None], 3, axis=-1))
    assert caplog.messages == [
        "he.tif is grey: colours of the stain are lost, and with them information on the tissue."
    ]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_h_and_e_is_refused(file, kind):
    write, message = REFUSED[kind]
    write(file)
    with pytest.raises(ValueError, match=rf"fullres_image='.*he\.tif' {message}") as told:
        open_fullres(file)
    assert "\n" not in str(told.value)
    assert str(told.value).endswith(".")


@pytest.mark.parametrize("tag", range(2, 9))
@pytest.mark.parametrize("kind", ["tiff", "png", "jpeg"])
def test_images_are_turned_as_viewers_show_them(file, kind, tag, caplog):
    stored = turned(tag)
    if kind == "tiff":
        tifffile.imwrite(file, stored, photometric="rgb", tile=(32, 32), extratags=[(274, 3, 1, tag, True)])
    else:
        image = Image.fromarray(stored)
        exif = image.getexif()
        exif[274] = tag
        image.save(file, kind, exif=exif, quality=95)
    with caplog.at_level(logging.WARNING, "stsr"):
        got = read(file)
    assert got.shape == HE.shape
    assert np.abs(got.astype(int) - HE).mean() < 2
    assert (
        f"he.tif carries the orientation tag {tag} and is turned as viewers show it, to 130 x 96 pixels" in caplog.text
    )


@pytest.mark.parametrize("tag", [0, 1, 9, 65535])
def test_tags_that_turn_nothing(file, tag, caplog):
    tifffile.imwrite(file, HE, photometric="rgb", extratags=[(274, 3, 1, tag, True)])
    np.testing.assert_array_equal(read(file), HE)
    assert not [record for record in caplog.records if record.name.startswith("stsr")]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("OME channels of no name", "holds 3 channels without saying that they are red, green and blue"),
        ("bands of no meaning", "holds 3 bands without saying that they are red, green and blue"),
        ("more samples", "holds 1 more samples a pixel that are no opacity; they are left out"),
    ],
)
def test_what_the_file_does_not_say_is_told(file, kind, told, caplog):
    SAME[kind](file)
    with caplog.at_level(logging.WARNING, "stsr"):
        open_fullres(file)
    assert told in caplog.text


def test_another_scan_in_the_file_is_told(file, caplog):
    pages((HE[:, :100], {"photometric": "rgb"}), (HE, {"photometric": "rgb"}))(file)
    with caplog.at_level(logging.WARNING, "stsr"):
        np.testing.assert_array_equal(read(file), HE)
    told = "he.tif holds another image nearly as large, of 100 x 96 pixels; the one of 130 x 96 pixels is read."
    assert told in caplog.messages


def test_a_transparency_mask_is_told(file, caplog):
    opaque = (HE != GLASS).any(axis=-1)
    pages((HE, {"photometric": "rgb"}), (opaque, {"photometric": "mask", "subfiletype": 4}))(file)
    with caplog.at_level(logging.WARNING, "stsr"):
        np.testing.assert_array_equal(read(file), HE)
    assert "he.tif holds a transparency mask, which is left out: what it hides is shown." in caplog.messages


def test_black_margins_are_no_fluorescence(file):
    image = np.zeros((400, 500, 3), np.uint8)
    image[100:196, 200:330] = HE
    tifffile.imwrite(file, image, photometric="rgb", tile=(64, 64))
    np.testing.assert_array_equal(read(file), image)


def test_tissue_without_glass_is_no_fluorescence(file):
    dark = np.clip(np.random.default_rng(0).normal((120, 70, 130), 15, HE.shape), 0, 255).astype(np.uint8)
    Image.fromarray(dark).save(file, "PNG")
    np.testing.assert_array_equal(read(file), dark)


def test_inks_with_a_profile_of_something_else(file):
    # A profile of another model is no profile of inks: what the library says of it is put in our words.
    tifffile.imwrite(file, cmyk(), photometric="separated", iccprofile=icc("sRGB"))
    with pytest.raises(ValueError, match=r"fullres_image='.*he\.tif' holds colours that cannot be turned into RGB"):
        open_fullres(file)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (HE, HE),
        (HE[:, ::-1], HE[:, ::-1]),
        (GREY, np.repeat(GREY[..., None], 3, axis=-1)),
        (np.dstack([HE, np.full_like(GREY, 255)]), HE),
        (Image.fromarray(HE), HE),
        (Image.fromarray(HE).quantize(16), HE),
    ],
    ids=["rgb", "a view", "grey", "opaque", "Pillow", "palette of Pillow"],
)
def test_arrays(array, expected):
    np.testing.assert_array_equal(np.moveaxis(np.asarray(fullres_of(array).pixels), 0, -1), expected)


def test_named_axes_say_where_the_channels_are():
    from xarray import DataArray

    planes = DataArray(np.moveaxis(HE, -1, 0), dims=("c", "y", "x"))
    np.testing.assert_array_equal(np.asarray(fullres_of(planes).pixels), planes)


@pytest.mark.parametrize("scales", [None, [2]])
def test_channels_of_spatialdata_say_what_they_are(scales):
    from spatialdata.models import Image2DModel

    def element(planes, names):
        return Image2DModel.parse(planes, dims=("c", "y", "x"), c_coords=names, scale_factors=scales)

    planes, opaque = np.moveaxis(HE, -1, 0), np.full_like(GREY[None], 255)
    for some, names in ((planes[::-1], "bgr"), (np.concatenate([opaque, planes]), ["alpha", "red", "green", "blue"])):
        np.testing.assert_array_equal(np.asarray(fullres_of(element(some, list(names))).pixels), planes)
    with pytest.raises(ValueError, match=r"uint8 values, of channels DAPI, GFP, CD3; pass"):
        fullres_of(element(planes, ["DAPI", "GFP", "CD3"]))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.moveaxis(HE, -1, 0), r"holds 3 x 96 x 130 uint8 values; pass \(rows, columns, 3\) uint8 values"),
        (HE / 255, "holds 96 x 130 x 3 float64 values"),
        (HE.astype(np.uint16), "holds 96 x 130 x 3 uint16 values"),
        (HE > 100, "holds 96 x 130 x 3 bool values"),
        (GLOW, "is dark where an H&E is bright"),
        (HE[:2], "has 130 x 2 pixels"),
        (HE[None], r"has shape \(1, 96, 130, 3\); pass an RGB image as \(rows, columns, 3\)"),
        (None, "None is neither a path nor an image"),
        ([[1, 2], [3]], "is no array"),
    ],
)
def test_arrays_that_are_no_h_and_e(array, message):
    with pytest.raises(ValueError, match=message):
        fullres_of(array)
