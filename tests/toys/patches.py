"""For methods of image patches: options with which they are quick, and a section whose image shows its expression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from toys.section import MPP, Toy, toy_section, trend

from stsr.imaging import Raster
from stsr.methods import METHODS
from stsr.methods.histology.patch_method import PatchMethod
from stsr.methods.histology.section_method import SectionMethod

TINY = METHODS["stnet"].info.quick
"""A tiny network that has learned nothing, and small patches."""

PATCH_METHODS = {
    name: kind.info.quick
    for name, kind in METHODS.items()
    if issubclass(kind, PatchMethod) and not issubclass(kind, SectionMethod)
}
"""Quick options of every method of image patches."""

SECTION_METHODS = {name: kind.info.quick for name, kind in METHODS.items() if issubclass(kind, SectionMethod)}
"""Quick options of every method of whole sections."""


def painted_toy(seed: int = 0) -> Toy:
    """A toy whose image shows the trend that its expression follows: pale where it is low, dark where it is high."""
    toy = toy_section(shape=(40, 44), bin_size=16.0, n_genes=2, depth=400.0, seed=seed)
    width, height = toy.section.grid.xy.max(axis=0) + 40
    rows, cols = np.mgrid[0 : int(height / MPP), 0 : int(width / MPP)] + 0.5
    dark = (trend(np.stack([cols, rows], axis=-1) * MPP) + 1) / 2
    rgb = np.stack([255 - 60 * dark, 240 - 180 * dark, 250 - 90 * dark])
    return Toy(
        replace(toy.section, image=Raster(((np.rint(rgb).astype(np.uint8), np.diag([MPP, MPP, 1.0])),))), toy.truth
    )
