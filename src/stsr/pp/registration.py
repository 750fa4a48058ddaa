"""What the check of an image against its counts has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.imaging.registration import STEP, BlockMaps
from stsr.imaging.similarity import Similarity

if TYPE_CHECKING:
    import pandas as pd

CLEAR_BLOCKS = 3
"""Blocks with a clear answer that a reliable one needs."""


@dataclass(frozen=True, eq=False)
class Registration:
    """How the counts of a section lie on its image, from :func:`stsr.pp.register_check`.

    Parameters
    ----------
    shift_um
        (x, y) by which the counts have to be moved to fit the image best, at their centre.
    scale
        What their distances from the centre have to be multiplied with.
    rotation
        By how many degrees they have to be turned around the centre, clockwise as seen in the image.
    correlation
        Mean correlation of log counts with haematoxylin in the blocks after that.
    largest_um
        Distance by which the block that is off the most has to be moved.
    error_um
        Standard error of such distances, by drawing blocks at random.
    radius_um
        How far a spot or bin reaches from its centre.
    reliable
        Whether three or more blocks have a clear answer and ``error_um`` is at most half of ``radius_um``. If not, the
        section shows too little structure to tell, or is off by more than was searched.
    centre_um
        (x, y) of the centre.
    blocks
        A row for each block: its middle ``x``, ``y`` and how many ``points`` it has; ``dx``, ``dy`` by which it fits best
        on its own and the ``error`` of that, all in µm; the ``correlation`` there; and whether the answer is ``clear``, its
        error less than a quarter of what was searched.
    surface
        (shifts, shifts) mean correlation of all blocks when they are moved together by so much in y and x.
    step_um
        Distance of the shifts in ``surface``; its middle is no shift.
    """

    shift_um: tuple[float, float]
    scale: float
    rotation: float
    correlation: float
    largest_um: float
    error_um: float
    radius_um: float
    reliable: bool
    centre_um: tuple[float, float]
    blocks: pd.DataFrame
    surface: NDArray[np.float64]
    step_um: float

    def displacement(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(points, 2) µm by which counts at points (points, 2) in µm have to be moved to fit the image."""
        fit = Similarity(self.shift_um, self.scale, float(np.deg2rad(self.rotation)), self.centre_um)
        return fit.displacement(xy)


def registration_of(blocks: BlockMaps, fit: Similarity, error: float, *, radius: float, reach: float) -> Registration:
    """The result from the blocks, the fit to all of them and its error, for spots of a radius, within a reach."""
    import pandas as pd

    moved = fit.displacement(blocks.xy)
    shift, uncertain, correlation = blocks.alone()
    clear = uncertain < reach / 4
    frame = pd.DataFrame(
        {
            "x": blocks.xy[:, 0],
            "y": blocks.xy[:, 1],
            "points": blocks.points,
            "dx": shift[:, 0],
            "dy": shift[:, 1],
            "error": uncertain,
            "correlation": correlation,
            "clear": clear,
        }
    )
    return Registration(
        shift_um=fit.shift,
        scale=fit.scale,
        rotation=float(np.rad2deg(fit.rotation)),
        correlation=float(np.average(blocks.at(moved), weights=blocks.weights)),
        largest_um=float(np.hypot(*moved.T).max()),
        error_um=error,
        radius_um=radius,
        reliable=bool(clear.sum() >= CLEAR_BLOCKS and error <= radius / 2),
        centre_um=fit.centre,
        blocks=frame,
        surface=blocks.mean,
        step_um=STEP,
    )
