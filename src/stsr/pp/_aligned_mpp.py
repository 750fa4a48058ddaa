"""µm per pixel of an H&E from the matrix that aligns it, held against what its file states."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from stsr.pp._alignment import scale_of
from stsr.spatial.fullres import FullRes
from stsr.spatial.scale import PLAUSIBLE

logger = logging.getLogger(__name__)

APART = 0.05
"""Relative difference up to which two values of µm per pixel are the same."""


def aligned_mpp(to_section: NDArray[np.float64], pixel_size: float, image: FullRes) -> float:
    """µm per pixel of the H&E.

    Parameters
    ----------
    to_section
        (3, 3) affine from pixels of the H&E to the section's.
    pixel_size
        µm per pixel of the section.
    image
        The H&E.

    Raises
    ------
    ValueError
        When the value is none that a microscope has, or when the one that the file states proves that the matrix leads the
        other way round, or to µm. Any other difference is logged.
    """
    scale = scale_of(to_section)
    mpp = scale * pixel_size
    low, high = PLAUSIBLE
    stated = image.mpp if image.mpp is not None and low <= image.mpp <= high else None
    if stated is not None and not _agree(mpp, stated):
        _refuse_other_frames(scale, pixel_size, stated, image.path.name)
    if not low <= mpp <= high:
        raise ValueError(
            f"alignment and pixel_size={pixel_size:g} give {mpp:.4g} µm per pixel, outside {low} to {high}; the alignment "
            "must take pixels of the H&E to the section's coordinates, not the other way round."
        )
    if stated is not None and not _agree(mpp, stated):
        logger.warning(
            "The alignment gives %.4g µm per pixel, but %s states %.4g: is it the H&E that was aligned?",
            mpp,
            image.path.name,
            stated,
        )
    return mpp


def _agree(one: float, other: float) -> bool:
    return abs(one / other - 1) <= APART


def _refuse_other_frames(scale: float, pixel_size: float, stated: float, name: str) -> None:
    """Refuse a matrix between other frames than it should be, where the resolution of the file proves which they are.

    A matrix that stretches by ``scale`` gives ``scale * pixel_size`` µm per pixel. If the file states what it would give
    the other way round, or with its section's side in µm, then that is what it is.
    """
    explained = {
        "leads from the section's pixels to those of the H&E, the wrong way round": (
            pixel_size / scale,
            "np.linalg.inv(alignment)",
        ),
        "leads to µm, not to pixels of the section": (
            scale,
            "np.diag([1 / pixel_size, 1 / pixel_size, 1]) @ alignment",
        ),
        "leads from µm to pixels of the H&E, the wrong way round": (
            1 / scale,
            "np.diag([1 / pixel_size, 1 / pixel_size, 1]) @ np.linalg.inv(alignment)",
        ),
    }
    for what, (mpp, remedy) in explained.items():
        if _agree(mpp, stated):
            raise ValueError(
                f"alignment {what}: read as it must be, it gives {scale * pixel_size:.4g} µm per pixel, and {name} states "
                f"{stated:.4g}; pass {remedy}."
            )
