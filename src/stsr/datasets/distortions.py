"""What goes wrong with images of slides, as functions: staining, optics, scanning, mounting and files.

Every function takes an image and returns one of the same shape on which what was measured lies where it lay, so that
spots stay registered. :data:`DISTORTIONS` holds them by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stsr.datasets._tissue import smooth_field

Severity = Literal["mild", "hard"]

SEVERITIES: tuple[Severity, ...] = ("mild", "hard")

Image = NDArray[np.uint8]

Distortion = Callable[[Image, float, Severity, int], Image]
"""From an image (rows, cols, 3), its µm per pixel, how bad, and a seed, to an image of the same shape."""

BAND = 512
"""Rows that are worked on at a time, which bounds the memory."""

GLASS_BLOCK = 32.0
"""Side in µm of the blocks in which glass is looked for."""


def _pick(severity: Severity, mild: float, hard: float) -> float:
    """The strength for a severity."""
    if severity not in SEVERITIES:
        raise ValueError(f"severity={severity!r} is not known; choose one of {', '.join(SEVERITIES)}.")
    return mild if severity == "mild" else hard


def _levels(image: Image, curve: Callable[[NDArray[np.float64], int], NDArray[np.float64]]) -> Image:
    """Map the grey levels of each channel through ``curve(levels, channel)``, both 0 to 255."""
    table = np.stack([np.clip(np.rint(curve(np.arange(256.0), band)), 0, 255) for band in range(3)]).astype(np.uint8)
    return np.stack([table[band][image[..., band]] for band in range(3)], axis=-1)


def _banded(image: Image, change: Callable[[NDArray[np.float32], slice], NDArray[np.float32]]) -> Image:
    """Apply ``change(pixels, rows)`` to bands of rows in float32, clip and round."""
    out = np.empty_like(image)
    for top in range(0, len(image), BAND):
        rows = slice(top, min(top + BAND, len(image)))
        out[rows] = np.clip(np.rint(change(image[rows].astype(np.float32), rows)), 0, 255)
    return out


def paler(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Less stain: optical densities times .6 or .35."""
    power = _pick(severity, 0.6, 0.35)
    return _levels(image, lambda level, _: 255 * (level / 255) ** power)


def darker(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """More stain, or a thicker section: optical densities times 1.4 or 2."""
    power = _pick(severity, 1.4, 2.0)
    return _levels(image, lambda level, _: 255 * (level / 255) ** power)


def bluer(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """A colder lamp: red dimmed by 10 or 25 %, green by 4 or 10 %."""
    share = _pick(severity, 0.10, 0.25)
    return _levels(image, lambda level, band: level * (1 - share * (1, 0.4, 0)[band]))


def low_contrast(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """A washed-out scan: grey levels drawn towards 225 to 60 or 35 % of their range."""
    share = _pick(severity, 0.6, 0.35)
    return _levels(image, lambda level, _: 225 + share * (level - 225))


def grey(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Colours faded to half, or gone."""
    share = np.float32(_pick(severity, 0.5, 1.0))
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return _banded(image, lambda pixels, _: pixels + share * ((pixels @ weights)[..., None] - pixels))


def blurred(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Out of focus: a Gaussian of 3 or 8 µm."""
    sigma = _pick(severity, 3.0, 8.0) / mpp
    return np.stack([ndimage.gaussian_filter(image[..., band], sigma) for band in range(3)], axis=-1)


def coarse(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Enlarged from an image of 4 or 12 µm per pixel, as of a preview."""
    step = max(2, round(_pick(severity, 4.0, 12.0) / mpp))
    rows, cols = (np.minimum(np.arange(size) // step * step + step // 2, size - 1) for size in image.shape[:2])
    return np.stack([ndimage.uniform_filter(image[..., band], step)[rows][:, cols] for band in range(3)], axis=-1)


def jpeg(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Stored as JPEG of quality 30 or 10."""
    import imagecodecs

    stored = imagecodecs.jpeg_encode(np.ascontiguousarray(image), level=int(_pick(severity, 30, 10)))
    return imagecodecs.jpeg_decode(stored)


def noise(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Noise of the camera with a standard deviation of 6 or 15 grey levels."""
    rng, sd = np.random.default_rng(seed), np.float32(_pick(severity, 6.0, 15.0))
    return _banded(image, lambda pixels, _: pixels + sd * rng.standard_normal(pixels.shape, dtype=np.float32))


def uneven_light(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """A lamp that is off centre: light falls off by 20 or 40 % across the image."""
    share = _pick(severity, 0.2, 0.4)
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    height, width = image.shape[:2]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))

    def dim(pixels: NDArray[np.float32], rows: slice) -> NDArray[np.float32]:
        across = (x + y[rows]) / np.float32(abs(np.cos(angle)) + abs(np.sin(angle))) + np.float32(0.5)
        return pixels * (1 - np.float32(share) * across)[..., None]

    return _banded(image, dim)


def stitched(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Tiles of 600 µm whose brightness differs by up to 4 or 12 %, as of a scanner out of adjustment."""
    rng, share = np.random.default_rng(seed), _pick(severity, 0.04, 0.12)
    side = max(1, round(600 / mpp))
    tiles = 1 - share * rng.random([-(-size // side) for size in image.shape[:2]]).astype(np.float32)
    cols = np.arange(image.shape[1]) // side
    return _banded(
        image, lambda pixels, rows: pixels * tiles[np.arange(rows.start, rows.stop) // side][:, cols][..., None]
    )


def fold(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """One fold of 40 µm, or three of 120 µm, across the section: under them lies tissue twice."""
    rng, out = np.random.default_rng(seed), image.copy()
    half = _pick(severity, 20.0, 60.0) / mpp
    light = np.arange(256, dtype=np.float32) / 255
    for _ in range(int(_pick(severity, 1, 3))):
        along, angle = rng.uniform(0.3, 0.7, 2), rng.uniform(0, np.pi)
        away = _distance_to_line(image.shape[:2], along, angle)
        row, col = np.nonzero(np.abs(away) < half)
        # the flap's mirror image about the fold's edge
        back = 2 * (half - away[row, col])
        shift = np.rint(np.stack([np.cos(angle) * back, -np.sin(angle) * back])).astype(int)
        other = (
            np.clip(row + shift[0], 0, image.shape[0] - 1),
            np.clip(col + shift[1], 0, image.shape[1] - 1),
        )
        out[row, col] = np.rint(255 * light[image[row, col]] * light[image[other]]).astype(np.uint8)
    return out


def bubble(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """An air bubble of 250 µm, or three of 600 µm: a dark rim, and paler and blurred inside."""
    rng, out = np.random.default_rng(seed), image.copy()
    for _ in range(int(_pick(severity, 1, 3))):
        radius = _pick(severity, 125.0, 300.0) / mpp * rng.uniform(0.8, 1.2)
        window, y, x = _around(image.shape, rng.uniform(0.2, 0.8, 2), radius)
        part, away = out[window].astype(np.float32), np.hypot(y, x)
        inside = ndimage.gaussian_filter(part, (5 / mpp, 5 / mpp, 0)) * 0.6 + 0.4 * 235
        rim = np.abs(away - radius + 8 / mpp) < 8 / mpp
        part = np.where((away < radius)[..., None], inside, part)
        out[window] = np.where(rim[..., None], 0.35 * part, part).astype(np.uint8)
    return out


def debris(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Dust and hairs: 20 or 120 dark specks of 10 to 60 µm on a square of 2 mm."""
    rng, out = np.random.default_rng(seed), image.copy()
    area = image.shape[0] * image.shape[1] * mpp**2
    for _ in range(max(1, round(_pick(severity, 20, 120) * area / 4e6))):
        radius, squeeze = rng.uniform(5, 30) / mpp, rng.uniform(0.2, 1)
        window, y, x = _around(image.shape, rng.random(2), radius)
        angle = rng.uniform(0, np.pi)
        long, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        out[window][np.hypot(long, across / squeeze) < radius] = rng.integers(20, 90)
    return out


def pen(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """A stroke of a felt pen along an edge, 150 µm wide and translucent; or three across, 300 µm wide and opaque."""
    rng, out = np.random.default_rng(seed), image.copy()
    half = _pick(severity, 75.0, 150.0) / mpp
    opaque = np.float32(_pick(severity, 0.6, 0.95))
    inks = np.array([(30, 60, 190), (20, 140, 60), (20, 20, 25)], dtype=np.float32)
    for stroke in range(int(_pick(severity, 1, 3))):
        edge = severity == "mild"
        along = rng.uniform(0.02, 0.06, 2) if edge else rng.uniform(0.2, 0.8, 2)
        angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.05) if edge else rng.uniform(0, np.pi)
        row, col = np.nonzero(np.abs(_distance_to_line(image.shape[:2], along, angle)) < half)
        ink = inks[(seed + stroke) % len(inks)]
        out[row, col] = ((1 - opaque) * out[row, col] + opaque * ink).astype(np.uint8)
    return out


def black_margin(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """The scan ends 50 or 150 µm before the image does; beyond it is black."""
    return _framed(image, round(_pick(severity, 50.0, 150.0) / mpp), 0)


def white_margin(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """The scan ends 50 or 150 µm before the image does; beyond it is pure white, as where transparency was."""
    return _framed(image, round(_pick(severity, 50.0, 150.0) / mpp), 255)


def second_section(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Another section on the glass along two or all edges, 80 µm or more away from the section's own tissue.

    It is made of pieces of the image's own tissue. Nothing but glass is covered.
    """
    glass = _glass(image, mpp)
    away = ndimage.distance_transform_edt(glass) * GLASS_BLOCK
    edge = np.zeros_like(glass)
    deep = max(1, round(_pick(severity, 300.0, 800.0) / GLASS_BLOCK))
    edge[:deep] = edge[:, :deep] = True
    if severity == "hard":
        edge[-deep:] = edge[:, -deep:] = True
    return _filled(image, mpp, edge & (away > 80), glass)


def no_glass(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Tissue all around: half of the glass, or nearly all, shows more of the image's own tissue."""
    glass = _glass(image, mpp)
    part = glass.copy()
    if _pick(severity, 0, 1) == 0:
        part &= smooth_field(np.random.default_rng(seed), glass.shape, GLASS_BLOCK, 600.0) > 0
    return _filled(image, mpp, part, glass)


def _around(
    shape: tuple[int, ...], share: NDArray[np.float64], radius: float
) -> tuple[tuple[slice, slice], NDArray[np.float64], NDArray[np.float64]]:
    """The window of an image around a point, (row, col) as shares of ``shape``, and its pixels' distances in y and x."""
    middle = share * shape[:2]
    low = np.maximum(np.floor(middle - radius), 0).astype(int)
    high = np.minimum(np.floor(middle + radius).astype(int) + 1, shape[:2])
    y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
    return (slice(low[0], high[0]), slice(low[1], high[1])), y + 0.5 - middle[0], x + 0.5 - middle[1]


def _distance_to_line(shape: tuple[int, ...], along: NDArray[np.float64], angle: float) -> NDArray[np.float32]:
    """(rows, cols) signed distance in pixels from a line through a point, (row, col) as shares of ``shape``."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(along[0] * shape[0])
    cols = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(along[1] * shape[1])
    return np.float32(np.cos(angle)) * rows - np.float32(np.sin(angle)) * cols


def _framed(image: Image, width: int, value: int) -> Image:
    """The image with ``width`` pixels along every edge set to a grey level."""
    out = np.full_like(image, value)
    inner = np.s_[width : len(image) - width, width : image.shape[1] - width]
    out[inner] = image[inner]
    return out


def _glass(image: Image, mpp: float) -> NDArray[np.bool_]:
    """(blocks, blocks) blocks of :data:`GLASS_BLOCK` that are bright and even, with no tissue for a block around."""
    from skimage.measure import block_reduce

    side = max(1, round(GLASS_BLOCK / mpp))
    green = image[..., 1]
    mean = block_reduce(green, side, np.mean, cval=255)
    spread = block_reduce(green, side, np.std, cval=255)
    bright = mean > 0.93 * np.quantile(mean, 0.99)
    even = spread < max(6.0, 2 * float(np.quantile(spread, 0.02)))
    return ndimage.binary_opening(bright & even, np.ones((3, 3)))


def _filled(image: Image, mpp: float, where: NDArray[np.bool_], glass: NDArray[np.bool_]) -> Image:
    """The image with blocks ``where`` showing tissue of elsewhere: the nearest tissue, mirrored at its border."""
    side = max(1, round(GLASS_BLOCK / mpp))
    nearest = ndimage.distance_transform_edt(glass, return_distances=False, return_indices=True)
    out = image.copy()
    tissue = np.argwhere(~glass)
    if not len(tissue):
        return out
    for row, col in np.argwhere(where):
        mirror = 2 * nearest[:, row, col] - (row, col)
        inside = (mirror >= 0).all() and (mirror < glass.shape).all() and not glass[tuple(mirror)]
        source = mirror if inside else tissue[(row * 7919 + col * 104_729) % len(tissue)]
        target = out[row * side : (row + 1) * side, col * side : (col + 1) * side]
        patch = image[source[0] * side : (source[0] + 1) * side, source[1] * side : (source[1] + 1) * side]
        high, wide = (min(a, b) for a, b in zip(target.shape[:2], patch.shape[:2], strict=True))
        target[:high, :wide] = patch[:high, :wide]
    return out


DISTORTIONS: dict[str, Distortion] = {
    each.__name__: each
    for each in (
        paler,
        darker,
        bluer,
        low_contrast,
        grey,
        blurred,
        coarse,
        jpeg,
        noise,
        uneven_light,
        stitched,
        fold,
        bubble,
        debris,
        pen,
        black_margin,
        white_margin,
        second_section,
        no_glass,
    )
}
"""The functions by name."""
