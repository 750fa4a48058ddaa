"""Edges of a section's spots, at which an imprint on its maps is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.geometry import Disc, nearest_pitch
from stsr.metrics.spot_edges import SpotEdges, spot_edges
from stsr.spatial.section import read_spots

if TYPE_CHECKING:
    from spatialdata import SpatialData


def section_edges(sdata: SpatialData, xy: NDArray[np.float64], bin_size: float, *, seed: int = 0) -> SpotEdges:
    """The edges of a section's spots among cells at (cells, 2) in µm; see :func:`stsr.metrics.spot_edges`.

    Raises
    ------
    ValueError
        When the section has no printed spots: none at all, one, or the bins of a grid.
    """
    spots, aperture = read_spots(sdata)
    if not isinstance(aperture, Disc):
        raise ValueError(
            f"sdata has bins of {aperture.side:g} µm for spots, which leave no gaps between them; pass a section of printed "
            "spots, such as from stsr.pp.simulate_spots."
        )
    if len(spots) < 2:
        raise ValueError("sdata has one spot, which makes no lattice; pass a section with more spots.")
    return spot_edges(xy, spots, diameter=aperture.diameter, pitch=nearest_pitch(spots), bin_size=bin_size, seed=seed)
