"""Image files of every kind come out as the same pixels."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from spatial_toys import toy_image

from stsr.spatial.fullres import open_fullres

IMAGE = toy_image(300, 410)
ALPHA = np.concatenate([IMAGE, np.full((300, 410, 1), 9, np.uint8)], axis=-1)


def pyramidal(path):
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(IMAGE, photometric="rgb", tile=(64, 64), subifds=1)
        tiff.write(IMAGE[::2, ::2], photometric="rgb", tile=(64, 64), subfiletype=1)


WRITERS = {
    "tiles": lambda path: tifffile.imwrite(path, IMAGE, photometric="rgb", tile=(128, 128), compression="deflate"),
    "strips": lambda path: tifffile.imwrite(path, IMAGE, photometric="rgb", rowsperstrip=7, compression="lzw"),
    "one strip": lambda path: tifffile.imwrite(path, IMAGE, photometric="rgb", rowsperstrip=300),
    "big pyramid": pyramidal,
    "planes": lambda path: tifffile.imwrite(path, IMAGE.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
    "ome planes": lambda path: tifffile.imwrite(path, IMAGE.transpose(2, 0, 1), ome=True, metadata={"axes": "CYX"}),
    "extra axis": lambda path: tifffile.imwrite(path, IMAGE[None], photometric="rgb"),
    "alpha": lambda path: tifffile.imwrite(path, ALPHA, photometric="rgb", extrasamples=["unassalpha"]),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_tiff_of_any_kind(tmp_path, kind):
    WRITERS[kind](tmp_path / "he.tif")
    image = open_fullres(tmp_path / "he.tif")
    assert image.pixels.dtype == np.uint8
    np.testing.assert_array_equal(image.pixels.compute(), IMAGE.transpose(2, 0, 1))


def test_png_and_jpeg(tmp_path):
    Image.fromarray(ALPHA).save(tmp_path / "he.png")
    np.testing.assert_array_equal(open_fullres(tmp_path / "he.png").pixels.compute(), IMAGE.transpose(2, 0, 1))
    Image.fromarray(IMAGE).save(tmp_path / "he.jpg", quality=95)
    lossy = open_fullres(tmp_path / "he.jpg").pixels.compute()
    assert lossy.shape == (3, 300, 410)
    assert np.abs(lossy.mean(axis=(1, 2)) - IMAGE.mean(axis=(0, 1))).max() < 2


def test_tiff_is_decoded_piece_by_piece(tmp_path):
    tifffile.imwrite(tmp_path / "he.tif", toy_image(2100, 2100), photometric="rgb", tile=(256, 256))
    assert max(open_fullres(tmp_path / "he.tif").pixels.chunksize) <= 1024


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (IMAGE[..., 0], r"300 x 410 uint8 values"),
        (IMAGE.astype(np.uint16) * 257, r"300 x 410 x 3 uint16 values"),
        (np.zeros((5, 300, 410), np.uint8), r"5 x 300 x 410 uint8 values"),
        (np.zeros((4, 300, 410), np.uint8), r"4 x 300 x 410 uint8 values"),
    ],
    ids=["grey", "16 bit", "five stains", "four stains"],
)
def test_what_is_no_rgb_image_is_refused(tmp_path, values, said):
    tifffile.imwrite(tmp_path / "he.tif", values, photometric="rgb" if values.shape[-1] == 3 else "minisblack")
    with pytest.raises(
        ValueError, match=rf"fullres_image='.*he\.tif' holds {said}; save the H&E as an 8-bit RGB image"
    ):
        open_fullres(tmp_path / "he.tif")


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "he.tif").write_text("barcode,in_tissue")
    with pytest.raises(ValueError, match=r"fullres_image='.*he\.tif' is not a TIFF, PNG or JPEG image"):
        open_fullres(tmp_path / "he.tif")


@pytest.mark.parametrize(("unit", "dots", "mpp"), [("CENTIMETER", 20000, 0.5), ("INCH", 25400, 1.0), ("NONE", 1, None)])
def test_resolution_tags(tmp_path, unit, dots, mpp):
    tifffile.imwrite(tmp_path / "he.tif", IMAGE, photometric="rgb", resolution=(dots, dots), resolutionunit=unit)
    assert open_fullres(tmp_path / "he.tif").mpp == (None if mpp is None else pytest.approx(mpp))


@pytest.mark.parametrize(("size", "unit", "mpp"), [(0.46, "µm", 0.46), (460.0, "nm", 0.46), (1.0, "pixel", None)])
def test_ome_metadata_comes_before_resolution_tags(tmp_path, size, unit, mpp):
    tifffile.imwrite(
        tmp_path / "he.ome.tif",
        IMAGE,
        photometric="rgb",
        ome=True,
        resolution=(72, 72),
        resolutionunit="INCH",
        metadata={"PhysicalSizeX": size, "PhysicalSizeXUnit": unit},
    )
    assert open_fullres(tmp_path / "he.ome.tif").mpp == (None if mpp is None else pytest.approx(mpp))
