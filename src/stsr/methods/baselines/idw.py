"""Inverse-distance weighting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import MethodInfo, register
from stsr.methods.shared.spot_weights import Interpolation, Weights, inverse_distance
from stsr.options import Number, Options, Whole


@dataclass(frozen=True)
class IdwConfig(Options):
    """Options of inverse-distance weighting.

    Parameters
    ----------
    neighbours
        Number of nearest spots that are used.
    power
        Exponent of the distance: larger is closer to the nearest spot.
    """

    neighbours: Annotated[int, Whole(1, 1024)] = 8
    power: Annotated[float, Number(0.01, 20)] = 2.0


@register
class Idw(Interpolation):
    """λ(b) = Σ_s w_s y_s / cells in a disc, with w_s ∝ d(b, s)^-p over the nearest spots (Shepard 1968, eq. 1)."""

    info: ClassVar = MethodInfo(
        name="idw",
        title="Inverse-distance weighting of the nearest spots",
        paper="Shepard, Proc. 23rd ACM National Conference",
        year=1968,
        needs=frozenset({"spots"}),
        fit_spots=1,
        predict_spots=1,
    )
    Config: ClassVar = IdwConfig

    def weights(self, spots: NDArray[np.float64]) -> Weights:
        """Inverse distances to the nearest spots, adding up to 1."""
        return inverse_distance(spots, neighbours=self.config.neighbours, power=self.config.power)
