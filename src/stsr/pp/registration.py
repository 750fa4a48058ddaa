"""Result of the check of an image against its counts."""

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
"""Blocks with a clear shift that a reliable result needs."""


@dataclass(frozen=True, eq=False)
class Registration:
    """How the counts of a section lie on its image, from :func:`stsr.pp.register_check`.

    Parameters
    ----------
    shift_um
        (x, y) shift of the counts, at their centre, for the best fit to the image.
    scale
        Factor on their distances from the centre.
    rotation
        Rotation around the centre in degrees, clockwise as seen in the image.
    correlation
        Mean correlation of log counts with haematoxylin over blocks, after these movements.
    largest_um
        Largest distance by which a block has to be moved.
    error_um
        Standard error of such distances, by the bootstrap over blocks.
    radius_um
        Radius of a spot, or that of the circle around a bin.
    reliable
        Whether three or more blocks have a clear shift and ``error_um`` is at most half of ``radius_um``. If not, the
        section shows too little structure, or is off by more than the tested shifts.
    centre_um
        (x, y) of the centre.
    blocks
        A row for each block: its centre ``x``, ``y`` and number of ``points``; its own best shift ``dx``, ``dy`` and the
        ``error`` of this shift, all in µm; the ``correlation`` there; and whether it is ``clear``, with an error below a
        quarter of the largest tested shift.
    surface
        (shifts, shifts) mean correlation of all blocks by their common shift in y and x.
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
