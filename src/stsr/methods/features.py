"""Features of a section, read band by band, and their means over discs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.section import Section

if TYPE_CHECKING:
    from stsr.methods.scaling import Scaling

BAND_VALUES = 2**25
"""Feature values read at a time: 128 MB as float32."""


def bands(section: Section, width: int) -> list[slice]:
    """Bands of grid rows over which an array of ``width`` columns stays within memory."""
    return section.grid.bands(max(1, BAND_VALUES // width))


def disc_means(section: Section, scaling: Scaling | None = None) -> NDArray[np.float32]:
    """(spots, features) area-weighted mean of the features, scaled or raw, under each spot; 0 where no cell lies there."""
    footprint = section.footprint.tocsc()
    width = section.n_features if scaling is None else scaling.matrix.shape[1]
    total = np.zeros((footprint.shape[0], width), dtype=np.float32)
    for rows in bands(section, section.n_features):
        cells = section.cell_features(rows)
        total += footprint[:, section.grid.cells(rows)] @ (cells if scaling is None else scaling(cells))
    area = footprint.sum(axis=1)
    return total / np.maximum(area, 1e-6)[:, None].astype(np.float32)
