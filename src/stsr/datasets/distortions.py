"""What goes wrong with images of slides, as functions: staining, optics, scanning, mounting and files.

Every function takes an image and returns one of the same shape on which what was measured lies where it lay, so that
spots stay registered. :data:`DISTORTIONS` holds them by name.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stsr.datasets._distort import (
    GLASS_BLOCK,
    SEVERITIES,
    Image,
    Severity,
    around,
    banded,
    distance_to_line,
    filled,
    framed,
    glass_blocks,
    map_levels,
    pick,
)
from stsr.datasets._tissue import smooth_field

__all__ = ["DISTORTIONS", "SEVERITIES", "Distortion"]

Distortion = Callable[[Image, float, Severity, int], Image]
"""From an image (rows, cols, 3), its µm per pixel, how bad, and a seed, to an image of the same shape."""


def paler(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Less stain: optical densities times .6 or .35."""
    power = pick(severity, 0.6, 0.35)
    return map_levels(image, lambda level, _: 255 * (level / 255) ** power)


def darker(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """More stain, or a thicker section: optical densities times 1.4 or 2."""
    power = pick(severity, 1.4, 2.0)
    return map_levels(image, lambda level, _: 255 * (level / 255) ** power)


def bluer(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """A colder lamp: red dimmed by 10 or 25 %, green by 4 or 10 %."""
    share = pick(severity, 0.10, 0.25)
    return map_levels(image, lambda level, band: level * (1 - share * (1, 0.4, 0)[band]))


def low_contrast(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """A washed-out scan: grey levels drawn towards 225 to 60 or 35 % of their range."""
    share = pick(severity, 0.6, 0.35)
    return map_levels(image, lambda level, _: 225 + share * (level - 225))


def grey(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Colours faded to half, or gone."""
    share = np.float32(pick(severity, 0.5, 1.0))
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return banded(image, lambda pixels, _: pixels + share * ((pixels @ weights)[..., None] - pixels))


def blurred(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Out of focus: a Gaussian of 3 or 8 µm."""
    sigma = pick(severity, 3.0, 8.0) / mpp
    return np.stack([ndimage.gaussian_filter(image[..., band], sigma) for band in range(3)], axis=-1)


def coarse(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Enlarged from an image of 4 or 12 µm per pixel, as of a preview."""
    step = max(2, round(pick(severity, 4.0, 12.0) / mpp))
    rows, cols = (np.minimum(np.arange(size) // step * step + step // 2, size - 1) for size in image.shape[:2])
    return np.stack([ndimage.uniform_filter(image[..., band], step)[rows][:, cols] for band in range(3)], axis=-1)


def jpeg(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Stored as JPEG of quality 30 or 10."""
    import imagecodecs

    stored = imagecodecs.jpeg_encode(np.ascontiguousarray(image), level=int(pick(severity, 30, 10)))
    return imagecodecs.jpeg_decode(stored)


def noise(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Noise of the camera with a standard deviation of 6 or 15 grey levels."""
    rng, sd = np.random.default_rng(seed), np.float32(pick(severity, 6.0, 15.0))
    return banded(image, lambda pixels, _: pixels + sd * rng.standard_normal(pixels.shape, dtype=np.float32))


def uneven_light(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """A lamp that is off centre: light falls off by 20 or 40 % across the image."""
    share = pick(severity, 0.2, 0.4)
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    height, width = image.shape[:2]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))

    def dim(pixels: NDArray[np.float32], rows: slice) -> NDArray[np.float32]:
        across = (x + y[rows]) / np.float32(abs(np.cos(angle)) + abs(np.sin(angle))) + np.float32(0.5)
        light: NDArray[np.float32] = (1 - share * across).astype(np.float32)
        return pixels * light[..., None]

    return banded(image, dim)


def stitched(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Tiles of 600 µm whose brightness differs by up to 4 or 12 %, as of a scanner out of adjustment."""
    rng, share = np.random.default_rng(seed), pick(severity, 0.04, 0.12)
    side = max(1, round(600 / mpp))
    tiles = 1 - share * rng.random([-(-size // side) for size in image.shape[:2]]).astype(np.float32)
    cols = np.arange(image.shape[1]) // side
    return banded(
        image, lambda pixels, rows: pixels * tiles[np.arange(rows.start, rows.stop) // side][:, cols][..., None]
    )


def fold(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """One fold of 40 µm, or three of 120 µm, across the section: under them lies tissue twice."""
    rng, out = np.random.default_rng(seed), image.copy()
    half = pick(severity, 20.0, 60.0) / mpp
    light = np.arange(256, dtype=np.float32) / 255
    for _ in range(int(pick(severity, 1, 3))):
        along, angle = rng.uniform(0.3, 0.7, 2), rng.uniform(0, np.pi)
        away = distance_to_line(image.shape[:2], along, angle)
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
    for _ in range(int(pick(severity, 1, 3))):
        radius = pick(severity, 125.0, 300.0) / mpp * rng.uniform(0.8, 1.2)
        window, y, x = around(image.shape, rng.uniform(0.2, 0.8, 2), radius)
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
    for _ in range(max(1, round(pick(severity, 20, 120) * area / 4e6))):
        radius, squeeze = rng.uniform(5, 30) / mpp, rng.uniform(0.2, 1)
        window, y, x = around(image.shape, rng.random(2), radius)
        angle = rng.uniform(0, np.pi)
        long, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        out[window][np.hypot(long, across / squeeze) < radius] = rng.integers(20, 90)
    return out


def pen(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """A stroke of a felt pen along an edge, 150 µm wide and translucent; or three across, 300 µm wide and opaque."""
    rng, out = np.random.default_rng(seed), image.copy()
    half = pick(severity, 75.0, 150.0) / mpp
    opaque = np.float32(pick(severity, 0.6, 0.95))
    inks = np.array([(30, 60, 190), (20, 140, 60), (20, 20, 25)], dtype=np.float32)
    for stroke in range(int(pick(severity, 1, 3))):
        edge = severity == "mild"
        along = rng.uniform(0.02, 0.06, 2) if edge else rng.uniform(0.2, 0.8, 2)
        angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.05) if edge else rng.uniform(0, np.pi)
        row, col = np.nonzero(np.abs(distance_to_line(image.shape[:2], along, angle)) < half)
        ink = inks[(seed + stroke) % len(inks)]
        out[row, col] = ((1 - opaque) * out[row, col] + opaque * ink).astype(np.uint8)
    return out


def black_margin(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """The scan ends 50 or 150 µm before the image does; beyond it is black."""
    return framed(image, round(pick(severity, 50.0, 150.0) / mpp), 0)


def white_margin(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """The scan ends 50 or 150 µm before the image does; beyond it is pure white, as where transparency was."""
    return framed(image, round(pick(severity, 50.0, 150.0) / mpp), 255)


def second_section(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Another section on the glass along two or all edges, 80 µm or more away from the section's own tissue.

    It is made of pieces of the image's own tissue. Nothing but glass is covered.
    """
    glass = glass_blocks(image, mpp)
    away = ndimage.distance_transform_edt(glass) * GLASS_BLOCK
    edge = np.zeros_like(glass)
    deep = max(1, round(pick(severity, 300.0, 800.0) / GLASS_BLOCK))
    edge[:deep] = edge[:, :deep] = True
    if severity == "hard":
        edge[-deep:] = edge[:, -deep:] = True
    return filled(image, mpp, edge & (away > 80), glass)


def no_glass(image: Image, mpp: float, severity: Severity, seed: int) -> Image:
    """Tissue all around: half of the glass, or nearly all, shows more of the image's own tissue."""
    glass = glass_blocks(image, mpp)
    part = glass.copy()
    if pick(severity, 0, 1) == 0:
        part &= smooth_field(np.random.default_rng(seed), glass.shape, GLASS_BLOCK, 600.0) > 0
    return filled(image, mpp, part, glass)


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
