"""What several methods ask of a section."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Arrays
from stsr.methods.features import bands, disc_means
from stsr.section import Section

logger = logging.getLogger(__name__)

FEWEST = 20
"""Spots below which nothing is trained."""

WHOLE = 0.9
"""Share of a disc that must lie on tissue for its cells to be taken for the disc."""

FEW = 200
"""Spots below which what is trained is poor."""


def require_spots(section: Section, method: str, *, fewest: int = FEWEST) -> None:
    """Refuse to train on too few spots, and warn of few; only those on tissue count, the others are not learned from.

    Raises
    ------
    ValueError
        For fewer than ``fewest`` spots.
    """
    spots = int(spots_on_tissue(section).sum())
    if spots < fewest:
        beside = len(section.spots) - spots
        remedy = (
            f"{beside} more lie beside the grid's tissue: check that the tissue covers the spots"
            if beside
            else "use an interpolation such as method='idw'"
        )
        raise ValueError(f"spots={spots} are too few to train method={method!r}, which needs {fewest}; {remedy}.")
    if spots < FEW:
        logger.warning(
            "%d spots are few to train method=%r, which wants %d: expect it to miss fine structure and rare genes, and "
            "to change with the seed; compare it with an interpolation such as method='idw'.",
            spots,
            method,
            FEW,
        )


@contextmanager
def warned() -> Iterator[None]:
    """Inside, the user has been warned of few spots and is not again, for every method that is fitted to them."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


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


def enough_spots(section: Section) -> bool:
    """Whether as many spots lie on tissue as networks are told of: fewer say nothing of the spots around."""
    return int(spots_on_tissue(section).sum()) >= FEWEST


def whole_spots(section: Section) -> NDArray[np.bool_]:
    """(spots,) those whose cells are taken for all that they cover: with nine tenths of it on tissue.

    Of a disc that the border cuts, nobody can tell whether its counts came from the part on tissue, as where the mask is
    right, or from all of it, as where the mask leaves tissue out. Sections with few whole discs make do with halves.
    """
    whole = section.covered >= WHOLE
    return whole if whole.sum() >= FEWEST else section.covered > 0.5


@dataclass(frozen=True, eq=False)
class LearnedSpots:
    """The spots that a method which looks at features alone learns from: those that lie on tissue as a whole.

    Parameters
    ----------
    used
        (spots,) which of the section's spots they are.
    mean, sd
        (features,) by which features are standardised, over cells.
    z
        (n, features) standardised features, averaged over what each spot covers.
    density
        (n, genes) counts per cell, of a whole spot.
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
        used = whole_spots(section)
        z = (disc_means(section)[used] - mean) / sd
        return cls(used, mean, sd, z, section.counts[used].toarray() / np.float32(section.spot_cells))

    def mass_factor(self, section: Section, predicted: NDArray[np.floating]) -> NDArray[np.floating]:
        """(genes,) by what rates are multiplied so that these spots, predicted to hold (genes,), hold what was measured."""
        measured = section.covered[self.used] @ section.counts[self.used]
        return measured / np.maximum(predicted, 1e-6)


def standard(expressed: NDArray[np.float32], *, faithful: bool) -> Arrays:
    """(genes,) mean and standard deviation of expression (spots, genes); as published, 0 and 1."""
    centre, spread = expressed.mean(axis=0), np.maximum(expressed.std(axis=0), 1e-3)
    if faithful:
        centre, spread = np.zeros_like(centre), np.ones_like(spread)
    return {"centre": centre, "spread": spread}
