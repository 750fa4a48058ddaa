"""Small H&E images for the tests of the imaging room."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from stsr.imaging import Raster

HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])
GLASS = 240


def tissue_image(height: int, width: int, *, mpp: float = 2.0, margin: float = 0.0, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint8: nuclei on uneven stroma, with ``margin`` µm of bare glass all around."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, height, width))
    nuclei, stroma = (ndimage.gaussian_filter(n, s / mpp) for n, s in zip(noise, (3.0, 8.0), strict=True))
    amounts = np.stack([np.clip(nuclei / nuclei.std(), 0, None), 0.6 + 0.3 * stroma / stroma.std()], axis=-1)
    edge = round(margin / mpp)
    inside = np.zeros((height, width, 1))
    inside[edge : height - edge, edge : width - edge] = 1
    density = (np.clip(amounts, 0, None) * inside) @ np.stack([HAEMATOXYLIN, EOSIN])
    light = (GLASS + 1) * np.exp(-density) - 1 + rng.normal(0, 1, density.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def as_raster(image: np.ndarray, mpp: float) -> Raster:
    """A raster of one level whose pixel (0, 0) starts at 0 µm."""
    return Raster(((np.moveaxis(image, -1, 0), np.diag([mpp, mpp, 1.0])),))
