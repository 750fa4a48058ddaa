"""Image files: read in parts, damaged, enormous, and with a resolution of their own."""

import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from toys.spatial import toy_image

from stsr.spatial.fullres import open_fullres

IMAGE = toy_image(300, 410)
ALPHA = np.concatenate([IMAGE, np.full((300, 410, 1), 255, np.uint8)], axis=-1)


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


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (256, 256)},
        {"tile": (256, 256), "compression": "zlib"},
        {"rowsperstrip": 3},
        {"rowsperstrip": 16, "compression": "zlib"},
        {"planarconfig": "separate", "tile": (256, 256)},
    ],
    ids=["tiles", "compressed tiles", "strips", "compressed strips", "planes"],
)
def test_a_tiff_is_never_in_memory_as_a_whole(tmp_path, options):
    """20,000 pixels wide: 48 MB as a whole."""
    image = np.full((800, 20_000, 3), 200, np.uint8)
    planes = options.get("planarconfig") == "separate"
    tifffile.imwrite(tmp_path / "he.tif", np.moveaxis(image, -1, 0) if planes else image, photometric="rgb", **options)
    tracemalloc.start()
    pixels = open_fullres(tmp_path / "he.tif").pixels
    corner = pixels[:, -300:, -300:].compute()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert corner.shape == (3, 300, 300)
    assert pixels.chunksize[1] <= 1024
    assert peak < image.nbytes / 2


def claims(path, width, height, *, tile=None):
    """A small file that says that its image is large."""
    tifffile.imwrite(path, IMAGE, photometric="rgb", tile=tile, compression="zlib", rowsperstrip=None if tile else 300)
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags
        tags["ImageWidth"].overwrite(width, dtype="I")
        tags["ImageLength"].overwrite(height, dtype="I")
        if tile is None:
            tags["RowsPerStrip"].overwrite(height, dtype="I")


@pytest.mark.parametrize(
    ("size", "tile", "said"),
    [
        ((10**6, 10**6), (128, 128), r"has places for 12 of \d+ tiles|claims to have 1000000 x 1000000 pixels"),
        ((10**6, 10**6), None, r"claims to have 1000000 x 1000000 pixels, more than any scanner makes"),
        (
            (60_000, 60_000),
            None,
            r"has 60000 x 60000 pixels, of which 3\.6e\+09 can only be decoded together; save it as a",
        ),
        ((410, 0), None, r"cannot be read, it is damaged or cut off|has 410 x 0 pixels|holds no"),
        ((0, 300), None, r"cannot be read, it is damaged or cut off|has 0 x 300 pixels|holds no"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, size, tile, said):
    claims(tmp_path / "he.tif", *size, tile=tile)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"fullres_image='.*he\.tif' ({said})"):
        open_fullres(tmp_path / "he.tif")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_png_that_claims_to_be_enormous(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "he.png")
    data = bytearray((tmp_path / "he.png").read_bytes())
    data[16:24] = (10**6).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "he.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"claims to have 1000000 x 1000000 pixels, more than any scanner makes"):
        open_fullres(tmp_path / "he.png")


def test_images_larger_than_pillow_takes_for_an_attack(tmp_path):
    """A PNG of 20,000 x 20,000 pixels is a common scan; Pillow's limit is lowered here instead."""
    Image.fromarray(IMAGE).save(tmp_path / "he.png")
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = 100
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert open_fullres(tmp_path / "he.png").pixels.shape == (3, 300, 410)
        assert Image.MAX_IMAGE_PIXELS == 100
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def save(path, kind):
    if kind == "tiff":
        tifffile.imwrite(path, IMAGE[:160, :200], photometric="rgb", tile=(64, 64), compression="zlib")
    elif kind == "plain tiff":
        tifffile.imwrite(path, IMAGE, photometric="rgb")
    else:
        Image.fromarray(IMAGE[:80, :90]).save(path, kind)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("kind", ["tiff", "plain tiff", "png", "jpeg", "webp", "bmp", "gif", "jpeg2000"])
def test_files_that_are_cut_off(tmp_path, kind, share):
    file = tmp_path / "he.tif"
    data = save(file, kind)
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match=r"^fullres_image='.*he\.tif' (is|cannot be read|has|holds)[^\n]*\.$"):
        np.asarray(open_fullres(file).pixels)


def test_a_damaged_tile_is_told_when_it_is_read(tmp_path):
    file = tmp_path / "he.tif"
    save(file, "tiff")
    with tifffile.TiffFile(file) as tiff:
        offset, count = tiff.pages.first.dataoffsets[9], tiff.pages.first.databytecounts[9]
    data = bytearray(file.read_bytes())
    data[offset : offset + count] = b"\xff" * count
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"fullres_image='.*he\.tif' cannot be read, it is damaged or cut off") as told:
        np.asarray(open_fullres(file).pixels)
    assert told.value.__cause__ is not None


@pytest.mark.parametrize("seed", range(5))
def test_bytes_changed_at_random_end_in_pixels_or_in_one_sentence(tmp_path, seed):
    rng = np.random.default_rng(seed)
    for kind in ("tiff", "png", "jpeg"):
        data = np.frombuffer(save(tmp_path / "he.tif", kind), np.uint8)
        for _ in range(8):
            changed = data.copy()
            changed[rng.integers(0, min(400, len(data)), 4)] = rng.integers(0, 256, 4)
            (tmp_path / "he.tif").write_bytes(changed.tobytes())
            try:
                pixels = open_fullres(tmp_path / "he.tif").pixels
                if pixels.size < 10**7:
                    np.asarray(pixels)
            except ValueError as error:
                assert str(error).startswith("fullres_image=") and "\n" not in str(error)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    save(tmp_path / "he.tif", "tiff")
    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(ValueError, match=r"fullres_image='.*he\.tif' may not be read; change its permissions"):
        open_fullres(tmp_path / "he.tif")


BOMB = """<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&c;</OME>"""


@pytest.mark.parametrize("text", [BOMB, '<?xml version="1.0"?><!DOCTYPE OME SYSTEM "file:///etc/passwd"><OME></OME>'])
def test_metadata_with_entities_is_refused(tmp_path, text):
    tifffile.imwrite(tmp_path / "he.tif", IMAGE, photometric="rgb", description=text, metadata=None)
    with pytest.raises(ValueError, match=r"he\.tif' holds metadata with a document type, which OME-XML has not"):
        open_fullres(tmp_path / "he.tif")


@pytest.mark.parametrize(
    "text", ["<OME><Image></OME>", "<?xml?><OME xmlns=''/>", "<OME></OME>", "{not json", "ImageJ=1.5\nunit"]
)
def test_metadata_that_is_damaged_changes_no_pixel(tmp_path, text):
    tifffile.imwrite(tmp_path / "he.tif", IMAGE, photometric="rgb", description=text, metadata=None)
    image = open_fullres(tmp_path / "he.tif")
    np.testing.assert_array_equal(image.pixels.compute(), IMAGE.transpose(2, 0, 1))


def test_the_files_ending_says_nothing(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "he.tif", "PNG")
    tifffile.imwrite(tmp_path / "he.jpg", IMAGE, photometric="rgb")
    for name in ("he.tif", "he.jpg"):
        np.testing.assert_array_equal(open_fullres(tmp_path / name).pixels.compute(), IMAGE.transpose(2, 0, 1))


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "he.tif").write_text("barcode,in_tissue")
    with pytest.raises(ValueError, match=r"fullres_image='.*he\.tif' is not a TIFF, PNG or JPEG image"):
        open_fullres(tmp_path / "he.tif")
