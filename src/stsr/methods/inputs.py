"""What several methods ask of a section."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stsr.methods.features import bands
from stsr.section import Section

FEWEST = 20
"""Spots below which nothing is trained."""


def require_spots(section: Section, method: str) -> None:
    """Refuse to train on too few spots.

    Raises
    ------
    ValueError
        For fewer than :data:`FEWEST` spots.
    """
    if len(section.spots) < FEWEST:
        raise ValueError(
            f"spots={len(section.spots)} are too few to train method={method!r}, which needs {FEWEST}; "
            "use an interpolation such as method='idw'."
        )


def feature_moments(section: Section) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the features over cells, (features,) each; a constant feature gets 1."""
    total, squares = 0.0, 0.0
    for rows in bands(section, section.n_features):
        cells = section.cell_features(rows).astype(np.float64)
        total, squares = total + cells.sum(axis=0), squares + (cells**2).sum(axis=0)
    mean = np.asarray(total / section.grid.n_cells)
    sd = np.sqrt(np.maximum(squares / section.grid.n_cells - mean**2, 0))
    return mean, np.where(sd > 1e-6, sd, 1)
