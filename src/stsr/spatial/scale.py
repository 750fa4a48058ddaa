"""µm per pixel: derived from the lattice of spots or bins, held against what the image file and the user say."""

from __future__ import annotations

import logging

from stsr.options import Number

logger = logging.getLogger(__name__)

PLAUSIBLE = (0.05, 5.0)
"""µm per pixel that a microscope image of tissue can have."""

MEASURED = {"pitch": "spot pitch", "bin": "bin pitch"}
"""Where a measured value comes from: what the record calls it, and what messages do."""


def check_mpp(user: float | None) -> float | None:
    """The user's µm per pixel as a Python float, before any work begins.

    Raises
    ------
    ValueError
        When it is no number, or outside 0.05 to 5.
    """
    number = Number(optional=True)("mpp", user)
    low, high = PLAUSIBLE
    if number is not None and not low <= number <= high:
        raise ValueError(f"mpp={user} µm per pixel is outside {low} to {high}; pass what the scanner states, in µm.")
    return number


def resolve_mpp(
    measured: float, *, stated: float | None, user: float | None, source: str = "pitch", sure: bool = True
) -> tuple[float, str]:
    """Settle on the µm per pixel of an image.

    Parameters
    ----------
    measured
        From the lattice of the spots or bins: its known pitch in µm over its pitch in pixels.
    stated
        From the image file. Values no microscope has (72 dots per inch and the like) are passed over.
    user
        The user's own; wins when it is within 10 % of ``measured``.
    source
        What ``measured`` was derived from, a key of :data:`MEASURED`.
    sure
        Whether ``measured`` was fitted to row and column of an array. If not it was guessed from the distance between
        neighbours, and the file and the user outvote it where they agree to 5 %.

    Returns
    -------
    µm per pixel, and where it comes from: ``source`` or ``"user"``.

    Raises
    ------
    ValueError
        When a value is outside 0.05 to 5, or when the sources contradict each other: the user's by more than 10 %,
        the file's by more than 5 % and the user has not decided.
    """
    low, high = PLAUSIBLE
    lattice = MEASURED[source]
    given, user = user, check_mpp(user)
    if stated is not None and not low <= stated <= high:
        logger.info("The image file states %.4g µm per pixel, which no microscope has: passed over.", stated)
        stated = None
    if user is not None:
        if abs(user / measured - 1) <= 0.10:
            return user, "user"
        if not sure and stated is not None and abs(user / stated - 1) <= 0.05:
            logger.warning(
                "The distance between spots gives %.4g µm per pixel; taken is mpp=%.4g, with which the image file agrees.",
                measured,
                user,
            )
            return user, "user"
        raise ValueError(
            f"mpp={given} contradicts the {lattice}, which gives {measured:.4g} µm per pixel; leave it out, or pass "
            "the fullres_image that the spot positions belong to."
        )
    if not low <= measured <= high:
        raise ValueError(
            f"mpp={measured:.4g} from the {lattice} is outside {low} to {high} µm per pixel; check that the spot "
            "positions are in pixels of fullres_image, and that it is no thumbnail."
        )
    if stated is not None and abs(stated / measured - 1) > 0.05:
        remedy = f"mpp={measured:.4g} if the file is wrong"
        if not sure:
            remedy = f"mpp={stated:.4g} if the file is right, or mpp={measured:.4g} if neighbours are one pitch apart"
        raise ValueError(
            f"fullres_image states {stated:.4g} µm per pixel but the {lattice} gives {measured:.4g}; pass "
            f"{remedy}, or the image that the spot positions belong to."
        )
    return measured, source
