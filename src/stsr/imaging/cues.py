"""What the picture shows of tissue at each pixel: local contrast, optical density, colour, and what is ink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

NEIGHBOURHOOD = 16.0
"""Standard deviation in µm of the Gaussian window in which cues are measured."""

BRIGHTEST = 0.01
"""Share of the image, the brightest, from which the colour of glass is measured."""

DARKEST_GLASS = 180
"""Smallest grey level of glass; an image with nothing brighter shows no glass."""

RED_OVER_GREEN, RED_EXCESS = 1.25, 0.2
"""Coloured ink has an optical density in red above this multiple of that in green, plus this excess."""

BLACK_INK = 1.8
"""Optical density in all channels above which a pixel is black ink."""


@dataclass(frozen=True, eq=False)
class Cues:
    """Cues to tissue, measured at every pixel.

    Parameters
    ----------
    values
        By name, (rows, cols) optical densities: ``"contrast"`` is the standard deviation of green around a pixel,
        ``"density"`` the mean of the three channels relative to glass, ``"colour"`` the difference between the highest
        and the lowest channel. Uneven light changes only the second.
    ink
        (rows, cols) bool, pixels of pen marks, black, or a grey margin beyond the scan, and pixels near these.
    """

    values: dict[str, NDArray[np.float32]]
    ink: NDArray[np.bool_]


def optical_density(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Negative logarithm of the transmitted light, 0 for white; the shape of ``image``."""
    table = -np.log((np.arange(256) + 1) / 256).astype(np.float32)
    return table[image]


def measure_cues(image: NDArray[np.uint8], mpp: float) -> Cues:
    """The cues of a (rows, cols, 3) uint8 image of ``mpp`` µm per pixel."""
    density = optical_density(image)
    sigma = NEIGHBOURHOOD / mpp
    mean = ndimage.gaussian_filter(density, (sigma, sigma, 0))
    squares = ndimage.gaussian_filter(density[..., 1] ** 2, sigma)
    contrast = np.sqrt(np.maximum(squares - mean[..., 1] ** 2, 0))
    ink = _ink(mean) | _margin(image)
    paper = mean[~ink] if not ink.all() else mean.reshape(-1, 3)
    glass = np.minimum(np.quantile(paper, BRIGHTEST, axis=0), -np.log((DARKEST_GLASS + 1) / 256)).astype(np.float32)
    against = mean - glass
    values = {
        "contrast": contrast,
        "density": np.maximum(against.mean(axis=-1), 0),
        "colour": against.max(axis=-1) - against.min(axis=-1),
    }
    return Cues(values, _widened(ink, sigma))


def ink_mask(image: NDArray[np.uint8], mpp: float) -> NDArray[np.bool_]:
    """(rows, cols) bool: :attr:`Cues.ink` of a (rows, cols, 3) uint8 image of ``mpp`` µm per pixel."""
    sigma = NEIGHBOURHOOD / mpp
    density = ndimage.gaussian_filter(optical_density(image), (sigma, sigma, 0))
    return _widened(_ink(density) | _margin(image), sigma)


def _ink(density: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels of blue or green ink, which absorbs more red than H&E does, or of black ink."""
    red, green = density[..., 0], density[..., 1]
    return (red > RED_OVER_GREEN * green + RED_EXCESS) | (density.min(axis=-1) > BLACK_INK)


def _margin(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels of one even grey at the image's edge, darker than glass: the fill that programs put beyond the scan."""
    level = image[..., 0]
    even = (np.ptp(image, axis=-1) == 0) & (level < DARKEST_GLASS)
    even &= ndimage.maximum_filter(level, 3) == ndimage.minimum_filter(level, 3)
    pieces, _ = ndimage.label(even)
    edge = np.concatenate([pieces[[0, -1]].ravel(), pieces[:, [0, -1]].ravel()])
    wide = np.bincount(pieces.ravel()) >= BRIGHTEST * level.size
    return even & np.isin(pieces, edge) & wide[pieces]


def _widened(ink: NDArray[np.bool_], sigma: float) -> NDArray[np.bool_]:
    """Ink, and the pixels around it whose cues it influences."""
    near = round(2 * sigma)
    return ndimage.binary_dilation(ink, iterations=near) if ink.any() and near else ink
