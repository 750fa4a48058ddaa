"""The encoder without weights: texture measured on the grid itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stsr.encoders.base import EncoderInfo
from stsr.geometry import Grid
from stsr.imaging.raster import Raster
from stsr.imaging.texture import TEXTURE_NAMES, WORKING_MPP, pixels_per_cell, texture_features, texture_halo


class TextureEncoder:
    """Stains, nuclei, lumina, edges, orientation and histograms at 8 to 160 µm; see :mod:`stsr.imaging.texture`."""

    names = TEXTURE_NAMES
    info = EncoderInfo(
        name="texture",
        title="stains, nuclei, lumina and orientation at 8 to 160 µm; no weights",
        dim=len(TEXTURE_NAMES),
        mpp=WORKING_MPP,
        licence="BSD-3-Clause",
        source="stsr",
        learned=False,
    )

    def encode_rows(self, raster: Raster, grid: Grid, rows: slice) -> NDArray[np.float32]:
        """(features, rows, cols) of a band of grid rows; the same whatever the band."""
        k, halo = pixels_per_cell(grid.bin_size, raster.mpp), texture_halo(grid.bin_size)
        window = raster.read(*grid.pixel_frame(k, rows, slice(None), halo=halo * k))
        return texture_features(window, grid.bin_size / k, cell=k, halo=halo)
