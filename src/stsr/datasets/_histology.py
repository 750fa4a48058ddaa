"""An H&E-like image of a synthetic tissue: stain concentrations first, then Beer-Lambert."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stsr.datasets._tissue import Tissue, smooth_field

HAEMATOXYLIN = np.array([0.644211, 0.716556, 0.266844])
EOSIN = np.array([0.092789, 0.954111, 0.283111])
"""Optical density of the two stains in red, green and blue, of length 1: the H&E pair measured on real slides by G. Landini
for the ImageJ plug-in of colour deconvolution (Ruifrok & Johnston 2001, Anal Quant Cytol Histol 23:291)."""

GLASS_LIGHT = 244.0
"""Grey value of light that passes through bare glass."""

#                          glass lumen stroma tuft  prox. dist. duct  infiltrate fat  collagen neuropil necrosis
EOSIN_LEVEL = np.array([0.000, 0.015, 0.21, 0.18, 0.34, 0.24, 0.16, 0.15, 0.004, 0.10, 0.07, 0.20])
HAEMATOXYLIN_LEVEL = np.array([0.000, 0.003, 0.02, 0.07, 0.03, 0.03, 0.03, 0.07, 0.000, 0.004, 0.010, 0.006])
"""Concentration of each stain in the ground of each structure (decadic optical density)."""
FIBROUS = np.array([0, 0, 1, 0.15, 0, 0, 0, 0.2, 0, 0.3, 0, 0])
"""How much of each structure is made of fibres."""

#                      podo. endo. prox. prox. dist. duct  fibro. immune
RADIUS = np.array([3.9, 2.8, 3.7, 3.7, 3.4, 3.5, 2.5, 2.9])
"""Radius of each cell type's nucleus in µm."""
ELONGATION = np.array([1.2, 1.7, 1.05, 1.05, 1.1, 1.15, 2.4, 1.0])
"""Long over short axis of each cell type's nucleus."""
CHROMATIN = np.array([0.36, 0.48, 0.36, 0.36, 0.42, 0.36, 0.50, 0.66])
"""Haematoxylin concentration of each cell type's nucleus (decadic optical density)."""

STAMPS = 4_000
"""Nuclei drawn at a time, which bounds the memory."""


def render(tissue: Tissue, shape: tuple[int, int], mpp: float, seed: np.random.SeedSequence) -> NDArray[np.uint8]:
    """(3, height, width) H&E-like image of a tissue at ``mpp`` µm per pixel, ``shape`` = (height, width)."""
    rng = np.random.default_rng(seed)
    fibres = _fibres(rng, shape, mpp)
    fibrous = _ground(tissue, FIBROUS, shape, mpp)
    grain = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 1.6 / mpp) * (3.5 * 1.6 / mpp)
    patchy = 1 + 0.10 * smooth_field(rng, shape, mpp, 60.0)

    eosin = _ground(tissue, EOSIN_LEVEL, shape, mpp) * patchy
    eosin *= 1 + 0.13 * grain + 0.3 * fibrous * fibres
    haematoxylin = _ground(tissue, HAEMATOXYLIN_LEVEL, shape, mpp)
    nuclei = _nuclei(rng, tissue, shape, mpp)
    eosin *= 1 - np.minimum(nuclei * 1.2, 0.6)
    haematoxylin += nuclei * (1 + 0.16 * grain)

    density = np.maximum(haematoxylin, 0) * HAEMATOXYLIN[:, None, None] + np.maximum(eosin, 0) * EOSIN[:, None, None]
    light = GLASS_LIGHT * 10 ** -density.astype(np.float32)
    for channel in light:
        ndimage.gaussian_filter(channel, 0.45 / mpp, output=channel)
    light += rng.normal(0, 1.6, size=light.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def _ground(tissue: Tissue, level: NDArray[np.float64], shape: tuple[int, int], mpp: float) -> NDArray[np.float32]:
    """(height, width) value that each structure has, with softened borders."""
    fine = ndimage.gaussian_filter(level.astype(np.float32)[tissue.structure], 0.7)
    step = mpp / tissue.pixel
    return ndimage.affine_transform(
        fine, np.diag((step, step)), offset=step / 2 - 0.5, output_shape=shape, order=1, mode="nearest"
    )


def _fibres(rng: np.random.Generator, shape: tuple[int, int], mpp: float) -> NDArray[np.float32]:
    """(height, width) wavy streaks between -1 and 1: the contour lines of a smooth field."""
    phase = 11 * smooth_field(rng, shape, mpp, 75.0) + 0.8 * smooth_field(rng, shape, mpp, 9.0)
    return np.cos(phase)


def _nuclei(rng: np.random.Generator, tissue: Tissue, shape: tuple[int, int], mpp: float) -> NDArray[np.float32]:
    """(height, width) haematoxylin concentration of the nuclei, drawn as soft ellipses."""
    n = len(tissue.cells)
    size = RADIUS[tissue.kind] * rng.lognormal(0, 0.10, n) / mpp
    stretch = np.sqrt(ELONGATION[tissue.kind] * rng.lognormal(0, 0.08, n))
    angle = rng.uniform(0, np.pi, n)
    dark = CHROMATIN[tissue.kind] * rng.lognormal(0, 0.16, n)
    centre = tissue.cells / mpp

    half = int(np.ceil((size * stretch).max())) + 1
    dx, dy = (a.ravel() for a in np.meshgrid(*[np.arange(-half, half + 1)] * 2))
    canvas = np.zeros(shape, dtype=np.float32)
    for some in np.array_split(np.arange(n), -(-n // STAMPS)):
        home = np.floor(centre[some]).astype(np.int32)
        col, row = home[:, :1] + dx, home[:, 1:] + dy
        x, y = col + 0.5 - centre[some, :1], row + 0.5 - centre[some, 1:]
        cos, sin = np.cos(angle[some])[:, None], np.sin(angle[some])[:, None]
        long = (cos * x + sin * y) / (size[some] * stretch[some])[:, None]
        short = (cos * y - sin * x) / (size[some] / stretch[some])[:, None]
        inside = np.hypot(long, short)
        stamp = dark[some, None] / (1 + np.exp(9 * (inside - 1))) * (0.85 + 0.25 * np.minimum(inside, 1))
        seen = (inside < 1.5) & (col >= 0) & (col < shape[1]) & (row >= 0) & (row < shape[0])
        np.maximum.at(canvas, (row[seen], col[seen]), stamp[seen].astype(np.float32))
    return canvas
