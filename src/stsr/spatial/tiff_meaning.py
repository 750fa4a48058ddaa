"""What the samples of an image in a TIFF mean, by its tags and its OME metadata and never by its shape."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

from stsr.spatial.samples import COLOURS, FULL_RANGE, GREY, LUMA, Kind, Meaning, Samples

PHOTOMETRIC: dict[int, Kind] = {
    0: "white is zero",
    1: "grey",
    2: "rgb",
    3: "palette",
    5: "cmyk",
    6: "ycbcr",
    8: "cielab",
    9: "icclab",
}
"""Colour models of the tag PhotometricInterpretation that can be read."""

DECODED = (6, 7, 34892, 33007, 50001)
"""Compressions whose decoder turns YCbCr into RGB: JPEG and WebP."""

APERIO_YCBCR = 33003
"""Compression of Aperio: JPEG 2000 of YCbCr, whatever the other tags say."""

FLUORESCENCE = re.compile(
    r"dapi|hoechst|draq|fitc|tritc|texas.?red|rhodamine|alexa|[gryc]fp\b|mcherry|tdtomato|\bcy[23579]|\baf ?\d{3}|\bopal"
    r"|\bsyto|phalloidin|fluor|\bcd\d|keratin|panck|vimentin|\ba?sma\b|boundary|\b18s\b|\d{3} ?nm",
    re.IGNORECASE,
)
"""Names of dyes and markers."""

UNNAMED = re.compile(r"|(channel|chan|ch|c|image|band|gray|grey)?[ :_#-]*\d*([:_]\d+)*", re.IGNORECASE)
"""Names of channels that say nothing."""

BLACK_AND_WHITE = "is black and white, 1 bit a pixel"

RGB = {"r": 0, "red": 0, "g": 1, "green": 1, "b": 2, "blue": 2}
"""Names of the channels of an RGB image."""


def meaning_of(series: Any, ome: ElementTree.Element | None, *, imagej: bool) -> Meaning | str:
    """How to read an image of a TIFF, or what keeps it from being an H&E."""
    page = series.keyframe
    long = {axis: size for axis, size in zip(series.axes, series.shape, strict=True) if size > 1 or axis in "YX"}
    if stack := {axis: size for axis, size in long.items() if axis not in "YXSC"}:
        many = " x ".join(map(str, stack.values()))
        return f"holds {many} images one behind another, as a depth stack or a time series does"
    if series.dtype.kind != "u" or series.dtype.itemsize > 2:
        shape = " x ".join(map(str, series.shape))
        return BLACK_AND_WHITE if page.bitspersample == 1 else f"holds {shape} {series.dtype} values"
    if fluorescent := _fluorescent(ome, colours="C" not in long and "S" in long):
        return f"holds fluorescence ({fluorescent})"
    if "C" in long:
        return _channels(series, page, ome, long, imagej=imagej)
    return _colours(page, ome, long.get("S", 1))


def _channels(
    series: Any, page: Any, ome: ElementTree.Element | None, long: dict[str, int], *, imagej: bool
) -> Meaning | str:
    """Channels that are images of their own, one for each colour or for each dye."""
    names = [(channel.get("Name") or "").strip() for channel in ome.iterfind("{*}Channel")] if ome is not None else []
    count = long["C"]
    if "S" in long or count != 3 or imagej or page.photometric not in (1, 2):
        named = f" ({', '.join(names)})" if any(names) else ""
        return f"holds {count} channels{named}, as fluorescence does"
    places = [RGB.get(name.lower()) for name in names]
    if sorted(place for place in places if place is not None) == [0, 1, 2]:
        order = tuple(places.index(colour) for colour in range(3))
        return _of_depth(Samples("rgb", places=order), page, ome)
    if page.photometric != 2 and not all(UNNAMED.fullmatch(name) for name in names):
        return f"holds 3 channels ({', '.join(names)}), which are not red, green and blue"
    doubt = "holds 3 channels without saying that they are red, green and blue; they are taken for these"
    return _of_depth(Samples("rgb"), page, ome, coloured=False, doubt=doubt)


def _colours(page: Any, ome: ElementTree.Element | None, count: int) -> Meaning | str:
    """Samples of one pixel."""
    kind = PHOTOMETRIC.get(int(page.photometric))
    if page.compression == APERIO_YCBCR:
        kind = "ycbcr"
    elif kind == "ycbcr" and page.compression in DECODED:
        kind = "rgb"
    if kind is None:
        return f"holds colours of a kind that cannot be read ({getattr(page.photometric, 'name', page.photometric)})"
    if kind == "cmyk" and page.tags.valueof(332, default=1) != 1:
        return "holds inks that are not cyan, magenta, yellow and black"
    if kind == "ycbcr" and page.compression not in DECODED and page.is_subsampled:
        return "holds YCbCr with fewer samples of colour than of brightness, uncompressed"
    extra = [int(sample) for sample in page.extrasamples]
    colours = COLOURS.get(kind, 1)
    coloured, doubt = kind not in ("grey", "white is zero"), ""
    if not coloured and extra[:2] == [0, 0] and count - len(extra) == 1:
        # Three bands, of which the file calls the first grey and says nothing of the others.
        kind, colours, extra = "rgb", 3, extra[2:]
        doubt = "holds 3 bands without saying that they are red, green and blue; they are taken for these"
    elif not coloured:
        doubt = GREY
    if count < colours or (coloured and count > colours + len(extra)):
        return f"holds {count} samples a pixel where its colours take {colours}"
    alpha = next((place for place, sample in enumerate(extra, start=colours) if sample in (1, 2)), None)
    if left := count - colours - (alpha is not None):
        doubt = doubt or f"holds {left} more samples a pixel that are no opacity; they are left out"
    samples = Samples(
        kind,
        alpha=alpha,
        associated=alpha is not None and extra[alpha - colours] == 1,
        profile=page.tags.valueof(34675) if kind == "cmyk" else None,
        colours=page.colormap if kind == "palette" else None,
        luma=_rationals(page, 529, LUMA),
        codes=_rationals(page, 532, FULL_RANGE),
    )
    return _of_depth(samples, page, ome, coloured=coloured, doubt=doubt)


def _of_depth(
    samples: Samples, page: Any, ome: ElementTree.Element | None, *, coloured: bool = True, doubt: str = ""
) -> Meaning | str:
    """The meaning, with the highest value that a sample can have."""
    bits = int(page.bitspersample)
    if bits == 1:
        return BLACK_AND_WHITE
    if samples.kind == "palette":
        return Meaning(samples)
    deep = False
    if bits == 16 and samples.kind not in ("cielab", "icclab"):
        used = ome.get("SignificantBits") if ome is not None else None
        highest = page.tags.valueof(281)
        highest = max(highest) if isinstance(highest, tuple) else highest
        if used is not None and used.isdecimal() and 8 <= int(used) < 16:
            bits = int(used)
        elif isinstance(highest, int) and highest in (2**10 - 1, 2**12 - 1, 2**14 - 1):
            bits = highest.bit_length()  # any other number is the brightest pixel there is
        else:
            deep = True
    return Meaning(replace(samples, top=2**bits - 1), coloured, deep, doubt)


def _fluorescent(ome: ElementTree.Element | None, *, colours: bool) -> str:
    """The first sign of fluorescence among the channels of OME metadata; empty when there is none.

    Names and wavelengths count only where channels are not ``colours`` of one image: red, green and blue have wavelengths.
    """
    for channel in ome.iterfind("{*}Channel") if ome is not None else ():
        name, wavelength = channel.get("Name") or "", channel.get("EmissionWavelength")
        signs = [channel.get("Fluor"), channel.get("ContrastMethod"), channel.get("IlluminationType")]
        signs[1:] = [sign for sign in signs[1:] if sign and "fluorescence" in sign.lower()]
        if not colours:
            signs += [name if FLUORESCENCE.search(name) else None, f"{wavelength} nm" if wavelength else None]
        if sign := next(filter(None, signs), None):
            return sign
    return ""


def _rationals(page: Any, code: int, default: tuple[float, ...]) -> tuple[float, ...]:
    """Fractions of a tag, kept as numerators and denominators in turn."""
    value = page.tags.valueof(code)
    if not isinstance(value, tuple) or len(value) != 2 * len(default) or not all(value[1::2]):
        return default
    found = tuple(up / down for up, down in zip(value[::2], value[1::2], strict=True))
    apart = code == 529 or all(white != black for black, white in zip(found[::2], found[1::2], strict=True))
    return found if apart and (code == 532 or found[1]) else default
