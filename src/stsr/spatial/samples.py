"""What the samples of an image file mean, and how they become RGB."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["rgb", "grey", "white is zero", "palette", "cmyk", "cielab", "icclab", "ycbcr"]

COLOURS: dict[str, int] = {"rgb": 3, "cmyk": 4, "cielab": 3, "icclab": 3, "ycbcr": 3}
"""Samples of a pixel that make its colour, alpha not among them; 1 for every other kind."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in Y, when a TIFF states none (ITU-R BT.601)."""

FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
"""Codes of black and white of Y, Cb and Cr, when a TIFF states none."""


GREY = "is grey: colours of the stain are lost, and with them information on the tissue"
"""What to warn of when an image has no colours."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The meaning of the samples of a pixel, as the file states it.

    Parameters
    ----------
    kind
        The colour model.
    places
        Positions of the samples that make the colour, in the model's own order; positions 0, 1, ... when None.
    top
        Highest value of a sample: 255 for 8 bits.
    alpha
        Position of the opacity; None when there is none.
    associated
        Whether colours are multiplied by the opacity already.
    profile
        ICC profile of CMYK samples; None for the plain formula.
    colours
        (3, entries) uint16, the palette.
    luma, codes
        Of YCbCr: weights of red, green and blue in Y, and codes of black and white of Y, Cb and Cr.
    """

    kind: Kind
    places: tuple[int, ...] | None = None
    top: int = 255
    alpha: int | None = None
    associated: bool = False
    profile: bytes | None = None
    colours: NDArray[np.uint16] | None = None
    luma: tuple[float, ...] = LUMA
    codes: tuple[float, ...] = FULL_RANGE

    def lazy(self, pixels: Any) -> Any:
        """(3, y, x) uint8 dask array from one of samples (samples, y, x)."""
        if self.kind == "rgb" and self.top == 255 and self.alpha is None:
            return pixels[list(self.places)] if self.places not in (None, (0, 1, 2)) else pixels[:3]
        whole = pixels.rechunk({0: -1})
        return whole.map_blocks(self.rgb, chunks=((3,), *whole.chunks[1:]), dtype=np.uint8)

    def rgb(self, block: NDArray[Any]) -> NDArray[np.uint8]:
        """(3, y, x) uint8 from samples (samples, y, x); what is transparent becomes white."""
        places = list(self.places or range(COLOURS.get(self.kind, 1)))
        colour = self._colour(block[places])
        if self.alpha is None:
            return colour
        opaque = block[self.alpha].astype(np.float32) / self.top
        over = colour if self.associated else colour * opaque
        return _byte(over + 255 * (1 - opaque))

    def _colour(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        if self.kind == "palette":
            colours = np.asarray(self.colours)
            codes = colours if colours.max() < 256 else colours >> 8  # some programs write 8 bits where 16 belong
            return codes[:, np.minimum(samples[0], codes.shape[1] - 1)].astype(np.uint8)
        if self.kind in ("cielab", "icclab"):
            return self._lab(samples)
        scaled = samples if self.top == 255 else _byte(samples * np.float32(255 / self.top))
        match self.kind:
            case "grey":
                return np.repeat(scaled, 3, axis=0)
            case "white is zero":
                return np.repeat(255 - scaled, 3, axis=0)
            case "cmyk":
                return _cmyk(scaled) if self.profile is None else _managed(scaled, self.profile, "cmyk")
            case "ycbcr":
                return self._ycbcr(scaled)
        return scaled.astype(np.uint8, copy=False)

    def _lab(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """L*a*b* of the white of ICC profiles; CIELAB keeps a* and b* signed, ICCLAB shifted by half the range."""
        codes = samples
        if self.top > 255:
            # In 16 bits, L* ends at 65535 in CIELAB and at 65280 in ICCLAB; a* and b* are the 8-bit codes times 256.
            light = samples[:1] * np.float32((255 / 65535) if self.kind == "cielab" else (1 / 256))
            codes = np.concatenate([_byte(light), (samples[1:] >> 8).astype(np.uint8)])
        if self.kind == "cielab":
            codes = np.concatenate([codes[:1], codes[1:] ^ np.uint8(128)])
        return _managed(codes, _profile("LAB"), "lab")

    def _ycbcr(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """The equations of TIFF 6.0, section 21."""
        codes = np.asarray(self.codes, dtype=np.float32).reshape(3, 2, 1, 1)
        ranges = np.array([255, 127, 127], dtype=np.float32)[:, None, None]
        y, cb, cr = (samples - codes[:, 0]) * ranges / (codes[:, 1] - codes[:, 0])
        red, green, blue = self.luma
        r, b = cr * (2 - 2 * red) + y, cb * (2 - 2 * blue) + y
        return _byte(np.stack([r, (y - blue * b - red * r) / green, b]))


@dataclass(frozen=True)
class Meaning:
    """How to read the samples of an image.

    Parameters
    ----------
    samples
        What they are.
    coloured
        Whether the file says that they are colours; if not, only a bright background distinguishes an H&E from fluorescence.
    deep
        Whether they have 16 bits of which the file does not say how many it uses.
    doubt
        What to warn of.
    """

    samples: Samples
    coloured: bool = True
    deep: bool = False
    doubt: str = ""

    @property
    def blank(self) -> int:
        """What a sample is where the file leaves a tile out: white."""
        return 0 if self.samples.kind in ("cmyk", "white is zero", "palette") else self.samples.top


def _byte(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _cmyk(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Ink on white paper, without a profile: each ink takes away its share of the light."""
    left = 255 - samples.astype(np.float32)
    return _byte(left[:3] * left[3] / 255)


def _managed(samples: NDArray[Any], profile: bytes, model: str) -> NDArray[np.uint8]:
    """To sRGB by way of ICC profiles."""
    import imagecodecs

    flat = np.ascontiguousarray(np.moveaxis(samples, 0, -1), dtype=np.uint8)
    colour = imagecodecs.cms_transform(flat, profile, _profile("sRGB"), colorspace=model, outcolorspace="rgb")
    return np.moveaxis(colour, -1, 0)


@cache
def _profile(name: Literal["LAB", "sRGB"]) -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()
