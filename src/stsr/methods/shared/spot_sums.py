"""What a section holds or is predicted to hold, band by band, and what that adds up to over discs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.section import Section

BAND_VALUES = 2**25
"""Values held at a time: 128 MB as float32."""


class Transform(Protocol):
    """Features as a method looks at them."""

    @property
    def width(self) -> int:
        """How many there are then."""
        ...

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(cells, features) to (cells, width)."""
        ...


def bands(section: Section, width: int) -> list[slice]:
    """Bands of grid rows over which an array of ``width`` columns stays within memory."""
    return section.grid.bands(BAND_VALUES // max(width, 1))


def disc_means(section: Section, transform: Transform | None = None) -> NDArray[np.float32]:
    """(spots, features) area-weighted mean of the features under each spot, transformed or raw; 0 where no cell lies there."""
    width = section.n_features if transform is None else transform.width

    def features(rows: slice) -> NDArray[np.float32]:
        cells = section.cell_features(rows)
        return cells if transform is None else transform(cells)

    area = section.footprint.sum(axis=1)
    return disc_sums(section, section.footprint, width, features) / np.maximum(area, 1e-6)[:, None].astype(np.float32)


def disc_sums(
    section: Section, footprint: sp.csr_array, width: int, values: Callable[[slice], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """(n, width) sums over discs, whose share in the cells is ``footprint`` (n, cells).

    ``values`` gives (cells, width) of a band of rows; it is not asked for bands that no disc touches.
    """
    footprint = footprint.tocsc()
    total = np.zeros((footprint.shape[0], width), dtype=np.float32)
    for rows in bands(section, max(width, section.n_features)):
        under = footprint[:, section.grid.cells(rows)]
        if under.nnz:
            total += under @ values(rows)
    return total
