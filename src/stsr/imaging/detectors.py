"""Tissue detectors: masks from local contrast, optical density, or colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import remove_small_holes, remove_small_objects

NEIGHBOURHOOD = 16.0
"""Standard deviation in µm of the Gaussian window in which cues are measured."""

BOUNDS = {"contrast": (0.02, 0.08), "density": (0.04, 0.15), "colour": (0.02, 0.10)}
"""Bounds of the threshold of each cue, in optical density: bare glass has less than the first, stained tissue more than the
second, so that an image of only one of the two is not split."""

EITHER = "contrast or density"
"""The detector for smooth dense tissue beside pale uneven tissue, such as muscle or stroma beside fat."""

DETECTORS = (*BOUNDS, EITHER)
"""Names of the detectors. The first has the finest outline; another is used only where it is clearly better."""

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


def detect(cues: Cues, mpp: float, *, min_piece: float, max_hole: float) -> dict[str, NDArray[np.bool_]]:
    """The mask of each detector, by name; the areas are in µm²."""
    masks = {}
    for name, values in cues.values.items():
        mask = without_holes((values > threshold(name, values)) & ~cues.ink, mpp, max_hole)
        if name == "contrast" and (beyond := round(2 * NEIGHBOURHOOD / mpp)):
            # the window in which contrast is measured reaches beyond the tissue's border
            mask = ndimage.binary_erosion(mask, iterations=beyond, border_value=1)
        masks[name] = without_specks(mask, mpp, min_piece)
    masks[EITHER] = masks["contrast"] | masks["density"]
    return masks


def threshold(name: str, values: NDArray[np.float32]) -> float:
    """Otsu's threshold on the logarithm of a cue, within its bounds.

    References
    ----------
    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62-66, equation 12.
    """
    low, high = BOUNDS[name]
    offset = low / 4
    return float(np.clip(float(np.exp(threshold_otsu(np.log(values + offset)))) - offset, low, high))


def without_specks(mask: NDArray[np.bool_], mpp: float, min_piece: float) -> NDArray[np.bool_]:
    """The mask without pieces smaller than ``min_piece`` µm² or half of the image, whichever is smaller."""
    return remove_small_objects(mask, max_size=min(int(min_piece / mpp**2), mask.size // 2))


def without_holes(mask: NDArray[np.bool_], mpp: float, max_hole: float) -> NDArray[np.bool_]:
    """The mask with holes up to ``max_hole`` µm² filled, but none larger than all the tissue."""
    return remove_small_holes(mask, max_size=min(int(max_hole / mpp**2), int(mask.sum())))
