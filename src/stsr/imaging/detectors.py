"""Tissue detectors: masks from local contrast, optical density, or colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import remove_small_holes, remove_small_objects

from stsr.imaging.cues import NEIGHBOURHOOD, Cues

BOUNDS = {"contrast": (0.02, 0.08), "density": (0.04, 0.15), "colour": (0.02, 0.10)}
"""Bounds of the threshold of each cue, in optical density: bare glass has less than the first, stained tissue more than the
second, so that an image of only one of the two is not split."""

EITHER = "contrast or density"
"""The detector for smooth dense tissue beside pale uneven tissue, such as muscle or stroma beside fat."""

DETECTORS = (*BOUNDS, EITHER)
"""Names of the detectors. The first has the finest outline; another is used only where it is clearly better."""


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
