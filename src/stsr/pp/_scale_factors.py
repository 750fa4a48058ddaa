"""The vendor's scale factors: read when they are numbers, and held against the positions of the spots."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stsr.spatial.unreadable import read_json

logger = logging.getLogger(__name__)

PITCHES = 100 / 65
"""Pitch of a Visium slide, in diameters of a spot as the vendor states them."""

TOLERANCE = 0.15
"""Relative difference up to which two lengths count as equal."""

REDUCED = {"hires": "tissue_hires_scalef", "lowres": "tissue_lowres_scalef"}
"""The reduced images and their scale factors."""

DIAMETER = "spot_diameter_fullres"


def read_factors(file: Path | None) -> dict[str, float]:
    """The usable entries of the vendor's file; none when it is not there."""
    if file is None or not file.is_file():
        logger.info("There are no scale factors: reduced images are left out, and positions not held against them.")
        return {}
    return usable(read_json(file, "scale factors"))


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


def refuse_reduced_positions(
    pitch: float, factors: Mapping[str, float], *, where: str, remedy: str, image: str | None = None
) -> None:
    """Refuse positions that are in pixels of another image, which the diameter of the spots gives away.

    Parameters
    ----------
    pitch
        Pixels between neighbouring spots of a Visium slide.
    factors
        What the vendor states of the same spots.
    where, remedy
        What the message says of the positions, and what to do where they are those of a reduced image.
    image
        The reduced image that the H&E is, a key of :data:`REDUCED`; None where it is the full one.

    Raises
    ------
    ValueError
        When the pitch is that of another image.
    """
    full = PITCHES * factors.get(DIAMETER, 0.0)
    shrunk = factors.get(REDUCED[image], 0.0) if image else 1.0
    due = full * shrunk
    if not due or _alike(pitch, due):
        return
    if image and _alike(pitch, full):
        raise ValueError(
            f"{where} are in pixels of the full-resolution image, but fullres_image is the {image} image of "
            f"adata.uns['spatial']; pass the full one, or multiply them by {REDUCED[image]}={shrunk:.4g}."
        )
    for name, key in REDUCED.items():
        scale = factors.get(key, 0.0)
        if _alike(pitch, full * scale):
            raise ValueError(
                f"{where} are in pixels of the {name} image: spots are {pitch:.4g} apart, where {DIAMETER}="
                f"{factors[DIAMETER]:.4g} makes it {full:.4g}, and the ratio is {key}={scale:.4g}; {remedy}"
            )
    logger.warning(
        "%s are %.4g pixels apart, where %s=%.4g makes it %.4g; check that they belong to fullres_image.",
        where,
        pitch,
        DIAMETER,
        factors[DIAMETER],
        due,
    )


def _alike(one: float, other: float) -> bool:
    return other > 0 and abs(one / other - 1) <= TOLERANCE
