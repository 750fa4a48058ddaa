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
    """Each cell is a weighted mean of the spots around it; the weight of a spot falls with a power of its distance.

    It interpolates smoothly, and gives back the counts of a spot in its centre.

    Formula
    -------
    ::

        λ_g(b) = Σ_s w_s(b) y_sg / a,    w_s(b) ∝ d(b, s)^-p,    Σ_s w_s(b) = 1

    - λ_g(b): expected count of gene g in cell b
    - y_sg: count of gene g in spot s, one of the ``neighbours`` nearest to b
    - d(b, s): distance between the centres of cell and spot in µm
    - p: ``power``
    - a: cells in the disc of a spot

    Source
    ------
    Shepard's equation 1, over the nearest spots only. His corrections for direction and slope are left out.

    Use
    ---
    As the baseline of interpolation, within seconds, and where there is no usable image. Its maps are as coarse as the
    spots, and show each of them as a disc.
    """

    info: ClassVar = MethodInfo(
        name="idw",
        title="Inverse-distance weighting of the nearest spots",
        paper="Shepard, Proc. 23rd ACM National Conference",
        year=1968,
        references=("shepard1968",),
        needs=frozenset({"spots"}),
        fit_spots=1,
        predict_spots=1,
    )
    Config: ClassVar = IdwConfig

    def weights(self, spots: NDArray[np.float64]) -> Weights:
        """Inverse distances to the nearest spots, adding up to 1."""
        return inverse_distance(spots, neighbours=self.config.neighbours, power=self.config.power)
