"""The resolution that an image file states, and what states none."""

import logging

import numpy as np
import pytest
import tifffile
from toys.image_kinds import HE, aperio

from stsr.spatial.fullres import open_fullres


@pytest.mark.parametrize(
    ("unit", "dots", "mpp"),
    [
        ("CENTIMETER", 20000, 0.5),
        ("INCH", 25400, 1.0),
        ("NONE", 1, None),
        ("INCH", 72, 25400 / 72),
        ("INCH", 0, None),
    ],
)
def test_resolution_tags(tmp_path, unit, dots, mpp):
    tifffile.imwrite(tmp_path / "he.tif", HE, photometric="rgb", resolution=(dots, dots), resolutionunit=unit)
    assert open_fullres(tmp_path / "he.tif").mpp == (None if mpp is None else pytest.approx(mpp))


@pytest.mark.parametrize("value", [(0, 0), (1, 0), (0, 1)])
def test_resolution_tags_that_divide_by_zero(tmp_path, value):
    tifffile.imwrite(tmp_path / "he.tif", HE, photometric="rgb", resolution=(20000, 20000), resolutionunit="CENTIMETER")
    with tifffile.TiffFile(tmp_path / "he.tif", mode="r+") as file:
        file.pages.first.tags["XResolution"].overwrite(value)
    assert open_fullres(tmp_path / "he.tif").mpp is None


@pytest.mark.parametrize(
    ("stated", "mpp"),
    [
        ({"PhysicalSizeX": 0.46}, 0.46),
        ({"PhysicalSizeX": 0.46, "PhysicalSizeXUnit": "µm"}, 0.46),
        ({"PhysicalSizeX": 0.46, "PhysicalSizeY": 0.46}, 0.46),
        ({"PhysicalSizeX": 460.0, "PhysicalSizeXUnit": "nm"}, 0.46),
        ({"PhysicalSizeX": 0.00046, "PhysicalSizeXUnit": "mm"}, 0.46),
        ({"PhysicalSizeX": 4600, "PhysicalSizeXUnit": "Å"}, 0.46),
        ({"PhysicalSizeX": 1.0, "PhysicalSizeXUnit": "pixel"}, None),
        ({"PhysicalSizeX": 1.0, "PhysicalSizeXUnit": "reference frame"}, None),
        ({"PhysicalSizeX": 0.0}, None),
        ({"PhysicalSizeX": -0.5}, None),
        ({"PhysicalSizeX": "nan"}, None),
        ({"PhysicalSizeX": "inf"}, None),
        ({"PhysicalSizeX": "half"}, None),
        ({"PhysicalSizeX": ""}, None),
        ({"PhysicalSizeX": 0.46, "PhysicalSizeY": 0}, None),
        ({}, None),
    ],
)
def test_ome_metadata_comes_before_resolution_tags(tmp_path, stated, mpp):
    tifffile.imwrite(
        tmp_path / "he.ome.tif",
        HE,
        photometric="rgb",
        ome=True,
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
        metadata=stated,
    )
    assert open_fullres(tmp_path / "he.ome.tif").mpp == (None if mpp is None else pytest.approx(mpp))


def test_the_resolution_is_that_of_the_image_that_is_read(tmp_path):
    with tifffile.TiffWriter(tmp_path / "he.ome.tif", ome=True) as tiff:
        tiff.write(HE[:40, :40], photometric="rgb", metadata={"PhysicalSizeX": 8.0})
        tiff.write(HE, photometric="rgb", metadata={"PhysicalSizeX": 0.5})
    assert open_fullres(tmp_path / "he.ome.tif").mpp == 0.5


def test_a_scanners_description(tmp_path):
    aperio(tmp_path / "he.svs")
    assert open_fullres(tmp_path / "he.svs").mpp == 0.499


@pytest.mark.parametrize(
    ("unit", "mpp"), [("um", 0.25), ("micron", 0.25), ("\\u00B5m", 0.25), ("mm", 250), ("pixel", None)]
)
def test_imagej_has_a_unit_of_its_own(tmp_path, unit, mpp):
    tifffile.imwrite(tmp_path / "he.tif", HE, imagej=True, resolution=(4, 4), metadata={"unit": unit})
    assert open_fullres(tmp_path / "he.tif").mpp == mpp


def test_pixels_that_are_no_squares_are_told(tmp_path, caplog):
    tifffile.imwrite(
        tmp_path / "he.ome.tif", HE, photometric="rgb", ome=True, metadata={"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    )
    with caplog.at_level(logging.WARNING, "stsr"):
        assert open_fullres(tmp_path / "he.ome.tif").mpp is None
    assert "The image file states pixels of 0.5 x 0.25 µm, which are no squares: passed over." in caplog.messages


def test_a_turned_image_keeps_its_resolution(tmp_path):
    tifffile.imwrite(
        tmp_path / "he.tif",
        np.ascontiguousarray(HE.swapaxes(0, 1)),
        photometric="rgb",
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
        extratags=[(274, 3, 1, 5, True)],
    )
    assert open_fullres(tmp_path / "he.tif").mpp == pytest.approx(0.5)
