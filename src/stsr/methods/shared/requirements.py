"""Which spots of a section are used for training, and whether they are enough."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import FEWEST
from stsr.section import Section

logger = logging.getLogger(__name__)

WHOLE = 0.9
"""Share of a spot's area that must be on tissue for the spot to be a whole one."""

HALF = 0.5
"""Share of a spot's area that must be on tissue for the spot to be used at all."""

FEW = 200
"""Number of spots below which a warning says that predictions will be poor."""


def require_spots(section: Section, method: str, *, fewest: int = FEWEST) -> None:
    """Refuse to train on too few spots, and warn of few; spots beside the tissue do not count.

    Raises
    ------
    ValueError
        For fewer than ``fewest`` spots on tissue.
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
    """Silence the warning of few spots inside the block, where the user had it already."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def spots_on_tissue(section: Section) -> NDArray[np.bool_]:
    """(spots,) those with more than half of their area on tissue; only these are used for training."""
    return section.footprint.sum(axis=1) > HALF * section.spot_cells


def enough_spots(section: Section) -> bool:
    """Whether enough spots lie on tissue to be an input of networks; with fewer, image networks predict alone."""
    return int(spots_on_tissue(section).sum()) >= FEWEST


def whole_spots(section: Section) -> NDArray[np.bool_]:
    """(spots,) whole spots: those with at least nine tenths of their area on tissue.

    Counts of a spot that the border of the mask cuts are ambiguous: they are from the part on tissue if the mask is right,
    from the whole spot if the mask misses tissue. In sections with few whole spots, half a spot on tissue is enough.
    """
    whole = section.covered >= WHOLE
    return whole if whole.sum() >= FEWEST else section.covered > HALF
