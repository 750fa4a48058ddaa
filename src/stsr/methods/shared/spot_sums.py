"""Sums and means of cells over spots, computed band by band."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.section import Section

BAND_VALUES = 2**25
"""Values in memory at a time: 128 MB as float32."""

LEAST_AREA = 1e-6
"""Smallest area, in cells, that is divided by."""


class Transform(Protocol):
    """A transform of image features."""

    @property
    def width(self) -> int:
        """Number of transformed features."""
        ...

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(cells, features) to (cells, width)."""
        ...


def bands(section: Section, width: int) -> list[slice]:
    """Bands of grid rows in which an array of ``width`` columns has at most ``BAND_VALUES`` values."""
    return section.grid.bands(BAND_VALUES // max(width, 1))


def disc_means(section: Section, transform: Transform | None = None) -> NDArray[np.float32]:
    """(spots, features) area-weighted mean of the features under each spot, transformed or raw; 0 for spots without cells."""
    width = section.n_features if transform is None else transform.width

    def features(rows: slice) -> NDArray[np.float32]:
        cells = section.cell_features(rows)
        return cells if transform is None else transform(cells)

    area = np.maximum(section.footprint.sum(axis=1), LEAST_AREA)[:, None].astype(np.float32)
    return disc_sums(section, section.footprint, width, features) / area


def disc_sums(
    section: Section, footprint: sp.csr_array, width: int, values: Callable[[slice], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """(n, width) sums of cells over spots, weighted by ``footprint`` (n, cells), the share of each cell that a spot covers.

    ``values`` computes (cells, width) of a band of rows; bands without spots are skipped.
    """
    footprint = footprint.tocsc()
    total = np.zeros((footprint.shape[0], width), dtype=np.float32)
    for rows in bands(section, max(width, section.n_features)):
        under = footprint[:, section.grid.cells(rows)]
        if under.nnz:
            total += under @ values(rows)
    return total
