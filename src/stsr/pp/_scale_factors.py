"""The vendor's scale factors: read when they are numbers, and held against the positions of the spots."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from numbers import Real
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


def factor(factors: Mapping[str, Any], name: str, default: float) -> float:
    """A scale factor; the default where it is not stated, or not as a positive number."""
    stated = factors.get(name, default)
    usable = isinstance(stated, Real) and not isinstance(stated, bool) and bool(np.isfinite(stated)) and stated >= 0
    if not usable:
        logger.warning("The scale factors state %r as %s, which is no factor: passed over.", stated, name)
    return float(stated) if usable else default


def refuse_reduced_positions(pitch: float, factors: Mapping[str, Any], *, where: str, remedy: str) -> None:
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
    due = PITCHES * factor(factors, DIAMETER, 0.0)
    if not due or abs(pitch / due - 1) <= ALIKE:
        return
    for image, name in REDUCED.items():
        scale = factor(factors, name, 0.0)
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
