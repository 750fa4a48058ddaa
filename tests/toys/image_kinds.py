"""One H&E written as image files of every kind, by tifffile and Pillow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms

TISSUE, GLASS = (190, 110, 170), (245, 243, 246)

Writer = Callable[[Path], object]


def he_image(height: int = 96, width: int = 130) -> np.ndarray:
    """(height, width, 3) uint8 tissue on glass, the same whichever way it is turned nowhere."""
    image = np.full((height, width, 3), GLASS, dtype=np.uint8)
    image[20:70, 12:90] = TISSUE
    image[30:50, 20:60] = (120, 70, 150)
    image[24:28, 64:88] = (215, 150, 180)
    return image


HE = he_image()
GREY = np.asarray(Image.fromarray(HE).convert("L"))
PLANES = np.moveaxis(HE, -1, 0)


def with_opacity(image: np.ndarray, *, associated: bool = False) -> np.ndarray:
    """The image where it is tissue, and black behind nothing; glass in the middle is opaque."""
    opacity = np.zeros(image.shape[:2], np.uint8)
    opacity[10:80, 5:100] = 255
    opacity[10:12] = 128
    colour = np.where(opacity[..., None] > 0, image, 0)
    if associated:
        colour = np.rint(colour * (opacity[..., None] / 255)).astype(np.uint8)
    return np.dstack([colour, opacity])


def over_white(image: np.ndarray) -> np.ndarray:
    opacity = with_opacity(image)[..., 3:] / 255
    return np.rint(image * opacity + 255 * (1 - opacity)).astype(np.uint8)


def cmyk(image: np.ndarray = HE) -> np.ndarray:
    """Four inks by the plain formula, with all the grey in black."""
    left = image / 255
    black = 1 - left.max(axis=-1, keepdims=True)
    inks = np.concatenate([1 - left / (1 - black), black], axis=-1)
    return np.rint(inks * 255).astype(np.uint8)


def lab(*, signed: bool = True) -> np.ndarray:
    """L*a*b* in 8 bits: a* and b* are signed, as Pillow makes them, or shifted by 128."""
    codes = np.array(Image.fromarray(HE).convert("LAB"))
    return np.concatenate([codes[..., :1], codes[..., 1:] ^ np.uint8(0 if signed else 128)], axis=-1)


def ycbcr(*, studio: bool = False) -> np.ndarray:
    full = np.asarray(Image.fromarray(HE).convert("YCbCr")).astype(float)
    if studio:
        full = (full - (0, 128, 128)) * (220 / 255, 112 / 127, 112 / 127) + (15, 128, 128)
    return np.rint(full).astype(np.uint8)


def tiff(data: np.ndarray, **options) -> Writer:
    return lambda path: tifffile.imwrite(path, data, **options)


def photo(image: Image.Image, kind: str, **options) -> Writer:
    return lambda path: image.save(path, kind, **options)


def pages(*images: tuple[np.ndarray, dict]) -> Writer:
    def write(path: Path) -> None:
        with tifffile.TiffWriter(path) as file:
            for data, options in images:
                file.write(data, **options)

    return write


def ome(data: np.ndarray, axes: str, photometric: str, **metadata) -> Writer:
    """With the ending that tifffile asks for, moved where it is wanted."""

    def write(path: Path) -> None:
        named = path.with_suffix(".ome.tif")
        tifffile.imwrite(named, data, photometric=photometric, metadata={"axes": axes} | metadata)
        named.rename(path)

    return write


def ome_of(*images: tuple[np.ndarray, str, str]) -> Writer:
    def write(path: Path) -> None:
        with tifffile.TiffWriter(path, ome=True) as file:
            for data, axes, photometric in images:
                file.write(data, photometric=photometric, metadata={"axes": axes})

    return write


def aperio(path: Path) -> None:
    about = "Aperio Image Library v11\r\n130x96 (16x16) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990"
    with tifffile.TiffWriter(path) as file:
        tile = {"photometric": "rgb", "tile": (32, 32), "metadata": None}
        file.write(HE, description=about, **tile)
        file.write(HE[::4, ::4], photometric="rgb", metadata=None, description="Aperio Image Library v11\r\nthumb")
        file.write(HE[::2, ::2], description=about, **tile)
        big = np.full((300, 400, 3), 200, np.uint8)
        file.write(
            big,
            photometric="rgb",
            metadata=None,
            subfiletype=1,
            description="Aperio Image Library v11\r\nlabel 400x300",
        )
        file.write(
            big,
            photometric="rgb",
            metadata=None,
            subfiletype=9,
            description="Aperio Image Library v11\r\nmacro 400x300",
        )


def sparse(path: Path) -> None:
    """Tiles of glass are left out, as Philips does."""
    tiles = [HE[y : y + 32, x : x + 32] for y in range(0, 96, 32) for x in range(0, 160, 32)]
    padded = [np.pad(tile, ((0, 0), (0, 32 - tile.shape[1]), (0, 0)), mode="edge") for tile in tiles if tile.shape[1]]
    kept = (None if (tile == GLASS).all() else tile for tile in padded)
    tifffile.imwrite(path, kept, shape=HE.shape, dtype=np.uint8, photometric="rgb", tile=(32, 32), compression="zlib")


def subsampled(path: Path) -> None:
    Image.fromarray(HE).convert("YCbCr").save(path, "TIFF")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[530].overwrite((2, 2))


def with_tag(code: int, kind: int, count: int, value: object) -> dict:
    return {"extratags": [(code, kind, count, value, True)]}


def icc(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def transparent_png(path: Path) -> None:
    image = Image.fromarray(HE).quantize(32)
    entry = image.getpixel((0, 0))
    image.save(path, "PNG", transparency=entry)


def film(kind: str) -> Writer:
    frames = [Image.fromarray(np.roll(HE, step, axis=1)) for step in range(3)]
    return lambda path: frames[0].save(path, kind, save_all=True, append_images=frames[1:])


def sixteen_bit_png(data: np.ndarray) -> Writer:
    return lambda path: path.write_bytes(imagecodecs.png_encode(data))


def turned(tag: int) -> np.ndarray:
    """Pixels as they are stored, so that a viewer which heeds the tag shows the H&E."""
    inverse = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[tag]
    image = Image.fromarray(HE)
    exif = image.getexif()
    exif[274] = inverse
    image.info["exif"] = exif.tobytes()
    from PIL import ImageOps

    return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image)))


SAME: dict[str, Writer] = {
    "tiles": tiff(HE, photometric="rgb", tile=(32, 32)),
    "lzw strips with a predictor": tiff(HE, photometric="rgb", rowsperstrip=7, compression="lzw", predictor=True),
    "big-endian": tiff(HE, photometric="rgb", byteorder=">", compression="zlib"),
    "one run of uncompressed strips": tiff(HE, photometric="rgb", rowsperstrip=5),
    "zstd": tiff(HE, photometric="rgb", compression="zstd", tile=(32, 48)),
    "JPEG 2000": tiff(HE, photometric="rgb", compression="jpeg2000", tile=(64, 64)),
    "WebP in a TIFF": tiff(
        HE, photometric="rgb", compression="webp", compressionargs={"lossless": True}, tile=(64, 64)
    ),
    "planes": tiff(PLANES, photometric="rgb", planarconfig="separate", tile=(32, 32)),
    "planes in strips": tiff(PLANES, photometric="rgb", planarconfig="separate", compression="zlib"),
    "BigTIFF pyramid below": pages(
        (HE, {"photometric": "rgb", "tile": (32, 32), "subifds": 1}),
        (HE[::2, ::2], {"photometric": "rgb", "tile": (32, 32), "subfiletype": 1}),
    ),
    "pyramid of pages, smallest first": pages(
        (HE[::4, ::4], {"photometric": "rgb"}), (HE[::2, ::2], {"photometric": "rgb"}), (HE, {"photometric": "rgb"})
    ),
    "thumbnail first": pages((np.zeros((20, 30, 3), np.uint8), {"photometric": "rgb"}), (HE, {"photometric": "rgb"})),
    "labels of the same size beside": pages((GREY // 100, {"photometric": "minisblack"}), (HE, {"photometric": "rgb"})),
    "channels of no name beside a thumbnail": ome_of((HE[:24, :30], "YXS", "rgb"), (PLANES, "CYX", "minisblack")),
    "scanner": aperio,
    "OME": ome(HE, "YXS", "rgb"),
    "OME of colours with wavelengths": ome(
        HE, "YXS", "rgb", Channel={"Name": ["CD3 IHC"], "EmissionWavelength": [550]}
    ),
    "OME with an axis of one": ome(HE[None], "ZYXS", "rgb"),
    "OME planes": ome(PLANES, "CYX", "rgb"),
    "OME channels of no name": ome(PLANES, "CYX", "minisblack"),
    "OME channels in another order": ome(PLANES[::-1], "CYX", "minisblack", Channel={"Name": ["Blue", "Green", "Red"]}),
    "bands of no meaning": tiff(HE, photometric="minisblack", planarconfig="contig"),
    "more samples": tiff(np.dstack([HE, HE[..., :1]]), photometric="rgb", extrasamples=["unspecified"]),
    "16 bits": tiff(HE.astype(np.uint16) * 257, photometric="rgb"),
    "16 bits with a stated maximum": tiff(
        np.rint(HE * (4095 / 255)).astype(np.uint16), photometric="rgb", **with_tag(281, 3, 3, (4095,) * 3)
    ),
    "OME of 12 bits": ome(np.rint(HE * (4095 / 255)).astype(np.uint16), "YXS", "rgb", SignificantBits=12),
    "PNG": photo(Image.fromarray(HE), "PNG"),
    "PNG of 16 bits": sixteen_bit_png(HE.astype(np.uint16) * 257),
    "palette PNG": photo(Image.fromarray(HE).quantize(16), "PNG"),
    "JPEG 2000 file": photo(Image.fromarray(HE), "JPEG2000"),
    "BMP": photo(Image.fromarray(HE), "BMP"),
    "WebP": photo(Image.fromarray(HE), "WEBP", lossless=True),
    "GIF": photo(Image.fromarray(HE).quantize(16), "GIF"),
    "palette TIFF": photo(Image.fromarray(HE).quantize(16), "TIFF"),
}
"""Every pixel is that of the H&E."""

NEAR: dict[str, Writer] = {
    "JPEG tiles, stored as YCbCr": tiff(HE, photometric="rgb", compression="jpeg", tile=(64, 64)),
    "JPEG": photo(Image.fromarray(HE), "JPEG", quality=95),
    "progressive JPEG": photo(Image.fromarray(HE), "JPEG", quality=95, progressive=True),
    "CMYK": tiff(cmyk(), photometric="separated"),
    "CMYK by Pillow": photo(Image.fromarray(HE).convert("CMYK"), "TIFF"),
    "CMYK planes": tiff(np.moveaxis(cmyk(), -1, 0), photometric="separated", planarconfig="separate", tile=(32, 32)),
    "CMYK of 16 bits": tiff(cmyk().astype(np.uint16) * 257, photometric="separated"),
    "CMYK JPEG": photo(Image.fromarray(HE).convert("CMYK"), "JPEG", quality=95),
    "CIELAB": photo(Image.fromarray(HE).convert("LAB"), "TIFF"),
    "CIELAB in tiles": tiff(lab(), photometric="cielab", tile=(32, 32)),
    "ICCLAB": tiff(lab(signed=False), photometric="icclab"),
    "ICCLAB of 16 bits": tiff(lab(signed=False).astype(np.uint16) * 256, photometric="icclab"),
    "YCbCr": photo(Image.fromarray(HE).convert("YCbCr"), "TIFF"),
    "YCbCr of video range": tiff(
        ycbcr(studio=True),
        photometric="ycbcr",
        extratags=[(530, 3, 2, (1, 1), True), (532, 5, 6, (15, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1), True)],
    ),
}
"""Colours are those of the H&E to within what the format keeps."""

CLEAR: dict[str, Writer] = {
    "opacity": tiff(with_opacity(HE), photometric="rgb", extrasamples=["unassalpha"]),
    "opacity in tiles": tiff(with_opacity(HE), photometric="rgb", extrasamples=["unassalpha"], tile=(32, 32)),
    "colours times opacity": tiff(with_opacity(HE, associated=True), photometric="rgb", extrasamples=["assocalpha"]),
    "opacity after another sample": tiff(
        np.dstack([HE, HE[..., :1], with_opacity(HE)[..., 3]]),
        photometric="rgb",
        extrasamples=["unspecified", "unassalpha"],
    ),
    "opacity as a plane": tiff(
        np.moveaxis(with_opacity(HE), -1, 0), photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"]
    ),
    "PNG": photo(Image.fromarray(with_opacity(HE)), "PNG"),
    "WebP": photo(Image.fromarray(with_opacity(HE)), "WEBP", lossless=True, exact=True),
    "JPEG 2000": photo(Image.fromarray(with_opacity(HE)), "JPEG2000"),
    "16 bits": tiff(with_opacity(HE).astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"]),
}
"""What is transparent is white."""

GREYS: dict[str, Writer] = {
    "TIFF": tiff(GREY, photometric="minisblack"),
    "white is zero": tiff(255 - GREY, photometric="miniswhite", tile=(32, 32)),
    "16 bits": tiff(GREY.astype(np.uint16) * 257, photometric="minisblack"),
    "PNG": photo(Image.fromarray(GREY), "PNG"),
    "PNG of 16 bits": sixteen_bit_png(GREY.astype(np.uint16) * 257),
    "JPEG 2000": photo(Image.fromarray(GREY), "JPEG2000"),
    "beside a thumbnail": pages((GREY[:20, :30], {"photometric": "minisblack"}), (GREY, {"photometric": "minisblack"})),
    "beside a thumbnail in colour": pages(
        (HE[:20, :30], {"photometric": "rgb"}), (GREY, {"photometric": "minisblack"})
    ),
    "OME": ome(GREY, "YX", "minisblack"),
    "opaque": tiff(
        np.dstack([GREY, np.full_like(GREY, 255)]),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"],
    ),
}
"""Grey, and the log says so."""

GLOW = np.zeros_like(HE)
GLOW[20:70:9, 12:90] = (20, 40, 220)
DYES = np.stack([255 - GREY] * 3)

REFUSED: dict[str, tuple[Writer, str]] = {
    "dyes": (
        ome(DYES, "CYX", "minisblack", Channel={"Name": ["DAPI", "CD3", "PanCK"]}),
        r"holds fluorescence \(DAPI\); save the H&E",
    ),
    "dyes on a bright ground": (
        ome(PLANES, "CYX", "minisblack", Channel={"Name": ["DAPI", "CD3", "PanCK"]}),
        r"holds fluorescence \(DAPI\)",
    ),
    "wavelengths": (
        ome(PLANES, "CYX", "minisblack", Channel={"EmissionWavelength": [450, 520, 610]}),
        r"holds fluorescence \(450 nm\)",
    ),
    "other names": (
        ome(PLANES, "CYX", "minisblack", Channel={"Name": ["Eosin", "Haem", "Residual"]}),
        r"holds 3 channels \(Eosin, Haem, Residual\), which are not red, green and blue",
    ),
    "channels of no name, dark": (
        ome(DYES // 3, "CYX", "minisblack"),
        "is dark where an H&E is bright, as fluorescence",
    ),
    "two channels": (ome(PLANES[:2], "CYX", "minisblack"), "holds 2 channels, as fluorescence does"),
    "four channels": (ome(np.concatenate([PLANES, PLANES[:1]]), "CYX", "minisblack"), "holds 4 channels, as fluo"),
    "ImageJ channels": (tiff(PLANES, imagej=True, metadata={"axes": "CYX"}), "holds 3 channels, as fluorescence does"),
    "dark grey": (tiff(255 - GREY, photometric="minisblack"), "is dark where an H&E is bright"),
    "dark colours": (tiff(GLOW, photometric="rgb"), "is dark where an H&E is bright, as fluorescence is; pass the H&E"),
    "dark PNG": (photo(Image.fromarray(GLOW), "PNG"), "is dark where an H&E is bright"),
    "depth": (ome(np.stack([HE] * 4), "ZYXS", "rgb"), "holds 4 images one behind another, as a depth stack"),
    "time": (ome(np.stack([HE] * 2), "TYXS", "rgb"), "holds 2 images one behind another"),
    "depth in three pages": (tiff(PLANES, photometric="minisblack"), "holds 3 images one behind another"),
    "fluorescence that says so": (
        ome(HE, "YXS", "rgb", Channel={"ContrastMethod": ["Fluorescence"]}),
        r"holds fluorescence \(Fluorescence\)",
    ),
    "one dye": (ome(GREY, "YX", "minisblack", Channel={"Name": ["Hoechst 33342"]}), r"holds fluorescence \(Hoechst 3"),
    "two of one size": (pages((HE, {"photometric": "rgb"}), (HE, {"photometric": "rgb"})), "holds 2 images"),
    "fluorescence with a label in colour": (
        pages((np.stack([GREY] * 4), {"photometric": "minisblack"}), (HE[:30, :30], {"photometric": "rgb"})),
        "holds 4 images one behind another",
    ),
    "film PNG": (film("PNG"), "holds 3 images one behind another, as a film does"),
    "film GIF": (film("GIF"), "holds 3 images one behind another"),
    "film WebP": (film("WEBP"), "holds 3 images one behind another"),
    "floats": (tiff(HE / np.float32(255), photometric="rgb"), "holds 96 x 130 x 3 float32 values; save the H&E"),
    "signed": (tiff(HE.astype(np.int16), photometric="rgb"), "holds 96 x 130 x 3 int16 values"),
    "32 bits": (tiff(HE.astype(np.uint32), photometric="rgb"), "holds 96 x 130 x 3 uint32 values"),
    "12 bits of 16": (
        tiff(HE.astype(np.uint16) * 16, photometric="rgb"),
        r"holds 16-bit values up to 3936, and does not say which one",
    ),
    "8 bits of 16": (tiff(HE.astype(np.uint16), photometric="rgb"), r"holds 16-bit values up to 246"),
    "one bit": (photo(Image.fromarray(HE).convert("1"), "TIFF"), "is black and white, 1 bit a pixel"),
    "one bit PNG": (photo(Image.fromarray(HE).convert("1"), "PNG"), "is black and white, 1 bit a pixel"),
    "inks of no name": (
        tiff(cmyk(), photometric="separated", **with_tag(332, 3, 1, 2)),
        "holds inks that are not cyan, magenta",
    ),
    "colours of a kind": (tiff(HE, photometric="itulab"), r"holds colours of a kind that cannot be read \(ITULAB\)"),
    "subsampled YCbCr": (subsampled, "holds YCbCr with fewer samples of colour"),
    "nothing to see": (
        tiff(np.dstack([HE, np.zeros_like(GREY)]), photometric="rgb", extrasamples=["unassalpha"]),
        "is wholly transparent",
    ),
    "nothing to see in a PNG": (
        photo(Image.fromarray(np.dstack([HE, np.zeros_like(GREY)])), "PNG"),
        "is wholly transp",
    ),
    "one pixel": (tiff(HE[:1, :1], photometric="rgb"), "has 1 x 1 pixels; pass the full-resolution H&E"),
    "one pixel PNG": (photo(Image.fromarray(HE[:1, :1]), "PNG"), "has 1 x 1 pixels; pass the full-resolution H&E"),
    "a table": (lambda path: path.write_text("a,b\n1,2\n"), "is not a TIFF, PNG or JPEG image; export the H&E as one"),
    "nothing": (lambda path: path.write_bytes(b""), "is empty; copy it once more"),
    "JSON": (lambda path: path.write_text(json.dumps({"a": 1})), "is not a TIFF, PNG or JPEG image"),
    "the first bytes of a TIFF": (
        lambda path: path.write_bytes(b"II*\0\x08\0"),
        "cannot be read, it is damaged or cut",
    ),
}
"""Refused in one sentence."""
