"""Which spots of a section can be learned from, and whether they are enough."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

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
