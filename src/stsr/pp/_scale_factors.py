"""The vendor's scale factors: read when they are numbers, and held against the positions of the spots."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

PITCHES = 100 / 65
"""Pitch of a Visium slide, in diameters of a spot as the vendor states them."""

ALIKE = 0.15
"""Relative difference between two lengths that are the same."""

REDUCED = {"hires": "tissue_hires_scalef", "lowres": "tissue_lowres_scalef"}
"""The reduced images and their scale factors."""

DIAMETER = "spot_diameter_fullres"


def usable(entries: Mapping[str, Any]) -> dict[str, float]:
    """The entries that are positive numbers; the log says which of the vendor's are not."""
    good = {
        name: float(stated)
        for name, stated in entries.items()
        if isinstance(stated, int | float | np.number) and not isinstance(stated, bool) and 0 < stated < np.inf
    }
    for name in (DIAMETER, *REDUCED.values()):
        if name in entries and name not in good:
            logger.warning("The scale factors state %s=%r, which is no factor: passed over.", name, entries[name])
    return good


def refuse_reduced_positions(pitch: float, factors: Mapping[str, float], *, where: str, remedy: str) -> None:
    """Refuse positions that are in pixels of a reduced image, which the diameter of the spots gives away.

    Parameters
    ----------
    pitch
        Pixels between neighbouring spots of a Visium slide.
    factors
        What the vendor states of the same spots.
    where, remedy
        What the message says of the positions, and what to do.

    Raises
    ------
    ValueError
        When the pitch is that of a reduced image.
    """
    due = PITCHES * factors.get(DIAMETER, 0.0)
    if not due or abs(pitch / due - 1) <= ALIKE:
        return
    for image, name in REDUCED.items():
        scale = factors.get(name, 0.0)
        if scale and abs(pitch / (due * scale) - 1) <= ALIKE:
            raise ValueError(
                f"{where} are in pixels of the {image} image: spots are {pitch:.4g} apart, where {DIAMETER}="
                f"{factors[DIAMETER]:.4g} makes it {due:.4g}, and the ratio is {name}={scale:.4g}; {remedy}"
            )
    logger.warning(
        "%s are %.4g pixels apart, where %s=%.4g makes it %.4g; check that they belong to fullres_image.",
        where,
        pitch,
        DIAMETER,
        factors[DIAMETER],
        due,
    )
