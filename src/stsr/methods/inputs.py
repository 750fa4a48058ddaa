"""What several methods ask of a section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Arrays
from stsr.methods.features import bands, disc_means
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


def spots_on_tissue(section: Section) -> NDArray[np.bool_]:
    """(spots,) those with more than half of what they cover on tissue: the others are not learned from."""
    return section.footprint.sum(axis=1) > section.spot_cells / 2


@dataclass(frozen=True, eq=False)
class LearnedSpots:
    """The spots that a method which looks at features alone learns from: those with more than half on tissue.

    Parameters
    ----------
    used
        (spots,) which of the section's spots they are.
    mean, sd
        (features,) by which features are standardised, over cells.
    z
        (n, features) standardised features, averaged over what each spot covers.
    density
        (n, genes) counts per cell on tissue.
    """

    used: NDArray[np.bool_]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    z: NDArray[np.float64]
    density: NDArray[np.float32]

    @classmethod
    def of(cls, section: Section) -> Self:
        """Those of ``section``."""
        mean, sd = feature_moments(section)
        used = spots_on_tissue(section)
        area = section.footprint.sum(axis=1)[used]
        z = (disc_means(section)[used] - mean) / sd
        return cls(used, mean, sd, z, section.counts[used].toarray() / area[:, None])


def mass_factor(section: Section, predicted: NDArray[np.floating]) -> NDArray[np.floating]:
    """(genes,) by what rates are multiplied so that spots, predicted to hold (genes,) in all, hold what was measured."""
    on_tissue = section.footprint.sum(axis=1) > 0
    return section.counts[on_tissue].sum(axis=0) / np.maximum(predicted, 1e-6)


def standard(expressed: NDArray[np.float32], *, faithful: bool) -> Arrays:
    """(genes,) mean and standard deviation of expression (spots, genes); as published, 0 and 1."""
    centre, spread = expressed.mean(axis=0), np.maximum(expressed.std(axis=0), 1e-3)
    if faithful:
        centre, spread = np.zeros_like(centre), np.ones_like(spread)
    return {"centre": centre, "spread": spread}
