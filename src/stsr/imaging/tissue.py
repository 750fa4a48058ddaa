"""Where the tissue lies on the glass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import remove_small_holes, remove_small_objects

TISSUE_MPP = 8.0
"""µm per pixel at which tissue is looked for."""

_NEIGHBOURHOOD = 16.0
"""Standard deviation in µm of the Gaussian window in which contrast is measured."""
_CONTRAST = (0.02, 0.08)
"""Standard deviations of optical density between which the threshold must lie: bare glass has less than the first,
stained tissue more than the second, so an image that shows only one of the two is not split."""


def optical_density(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Negative logarithm of the transmitted light, 0 for white; the shape of ``image``."""
    table = -np.log((np.arange(256) + 1) / 256).astype(np.float32)
    return table[image]


def tissue_mask(
    image: NDArray[np.uint8], mpp: float, *, min_piece: float = 20_000.0, max_hole: float = 50_000.0
) -> NDArray[np.bool_]:
    """Tell tissue from glass by its contrast.

    Stained tissue is uneven where glass, shadows and diffuse stain are smooth: the local standard deviation of the
    green light's optical density, in which both stains show, has two separate modes. Otsu's threshold on its
    logarithm parts them. Ink is left out by its colour, tubes and vessels are filled, specks are dropped.

    Parameters
    ----------
    image
        (rows, cols, 3) uint8 H&E, best near :data:`TISSUE_MPP`.
    mpp
        µm per pixel of ``image``.
    min_piece, max_hole
        Areas in µm²: smaller pieces of tissue are dropped, smaller holes filled.

    Returns
    -------
    (rows, cols) bool.

    Raises
    ------
    ValueError
        When there is no tissue.

    References
    ----------
    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62-66, equation 12.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.full((100, 100, 3), 245, dtype=np.uint8)
    >>> image[20:80, 20:80] = np.random.default_rng(0).integers(90, 200, (60, 60, 3))
    >>> mask = tissue_mask(image, 8.0)
    >>> bool(mask[50, 50]), bool(mask[5, 5])
    (True, False)
    """
    density = optical_density(image)
    sigma = _NEIGHBOURHOOD / mpp
    mean = ndimage.gaussian_filter(density, (sigma, sigma, 0))
    squares = ndimage.gaussian_filter(density[..., 1] ** 2, sigma)
    contrast = np.sqrt(np.maximum(squares - mean[..., 1] ** 2, 0))
    low, high = _CONTRAST
    threshold = np.clip(np.exp(threshold_otsu(np.log(contrast + low / 4))) - low / 4, low, high)

    mask = (contrast > threshold) & ~ndimage.binary_dilation(_ink(mean), iterations=round(2 * sigma))
    mask = remove_small_holes(mask, max_size=int(max_hole / mpp**2))
    # the window in which contrast is measured sees past the tissue's border
    mask = ndimage.binary_erosion(mask, iterations=round(2 * sigma), border_value=1)
    mask = remove_small_objects(mask, max_size=int(min_piece / mpp**2))
    if not mask.any():
        raise ValueError(
            f"image of {image.shape[1]} x {image.shape[0]} pixels at {mpp:g} µm/px shows no tissue; check that it is "
            "the H&E and not a blank or inverted image, or give your own labels to stsr.pp.make_grid(tissue=...)."
        )
    return mask


def _ink(density: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels of blue or green ink, which take out red more than any H&E does, or of black ink."""
    red, green = density[..., 0], density[..., 1]
    return (red > 1.25 * green + 0.2) | (density.min(axis=-1) > 1.8)
