"""Measures of the quality of an H&E image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stsr.imaging.cues import DARKEST_GLASS

_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.709)."""

_BLACK = 0.25
"""Share of the brightest light below which a pixel counts as black: beyond the scan, or ink."""

_BRIGHTER = 0.03
"""Share of the tissue that may be brighter than glass; if it is more, the surroundings are a grey margin, not glass."""

_NOISE = 2.0
"""Noise in grey levels."""

_BRIGHTEST, _FREE = 0.99, 0.01
"""Quantile of brightness that counts as the brightest light, and share of the image from which on free glass suffices."""


def background_colour(overview: NDArray[np.uint8], tissue: NDArray[np.bool_]) -> NDArray[np.float64]:
    """RGB of bare glass: the median of the brighter half of the pixels outside tissue that are not black.

    Where less than 1 % of the image is free of tissue, or the free part is a margin darker than lumens in the tissue, the
    brightest 1 % of the image is used, with at least 180 in every channel, since darker pixels are tissue.

    Parameters
    ----------
    overview
        (rows, cols, 3) uint8 image of the whole section.
    tissue
        (rows, cols) bool.

    Returns
    -------
    (3,) float64, 0 to 255.
    """
    brightness = overview @ _LUMA
    free = ~tissue & (brightness > _BLACK * np.quantile(brightness, _BRIGHTEST))
    if free.mean() > _FREE:
        glass, light = overview[free], brightness[free]
        colour: NDArray[np.float64] = np.median(glass[light >= np.quantile(light, 0.5)], axis=0)
        if not tissue.any() or (brightness[tissue] > colour @ _LUMA + _NOISE).mean() <= _BRIGHTER:
            return colour
    brightest = np.median(overview[brightness >= np.quantile(brightness, _BRIGHTEST)], axis=0)
    return np.maximum(brightest, DARKEST_GLASS)


def focus(tiles: NDArray[np.uint8]) -> float:
    """Sharpness of an image: the median over tiles of the variance of the Laplacian of brightness.

    Comparable between images of the same µm per pixel and stain only. Blur lowers it.

    Parameters
    ----------
    tiles
        (tiles, height, width, 3) uint8 windows on tissue.

    References
    ----------
    J. L. Pech-Pacheco et al., ICPR 2000, equation 6; brightness runs from 0 to 255.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import ndimage
    >>> sharp = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    >>> focus(ndimage.uniform_filter(sharp, (0, 3, 3, 0))) < focus(sharp)
    True
    """
    return float(np.median([ndimage.laplace(tile @ _LUMA)[1:-1, 1:-1].var() for tile in tiles]))


def image_quality(
    overview: NDArray[np.uint8], tissue: NDArray[np.bool_], tiles: NDArray[np.uint8]
) -> dict[str, float | list[float]]:
    """Measure the quality of an image before its colours are changed.

    Parameters
    ----------
    overview
        (rows, cols, 3) uint8 image of the whole section.
    tissue
        (rows, cols) bool.
    tiles
        (tiles, height, width, 3) uint8 windows on tissue at the working resolution.

    Returns
    -------
    dict
        ``tissue_fraction``: share of the image that is tissue, 0 to 1.
        ``background``: RGB of bare glass; near (240, 240, 240) for a well-exposed slide.
        ``focus``: see :func:`focus`.
        ``overexposed``: share of the tissue's pixels with a channel at 255.
        ``underexposed``: share of the tissue's pixels with a channel at 0.
    """
    return {
        "tissue_fraction": float(tissue.mean()),
        "background": background_colour(overview, tissue).tolist(),
        "focus": focus(tiles),
        "overexposed": float((tiles == 255).any(axis=-1).mean()),
        "underexposed": float((tiles == 0).any(axis=-1).mean()),
    }
