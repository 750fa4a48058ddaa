"""Partial least squares on image features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import MethodInfo, register
from stsr.methods.shared.learned_spots import LearnedSpots
from stsr.methods.shared.linear_model import LinearModel
from stsr.options import Options, Whole


@dataclass(frozen=True)
class PlsConfig(Options):
    """Options of partial least squares.

    Parameters
    ----------
    components
        Directions of the features, fewer where there are fewer features or spots.
    """

    components: Annotated[int, Whole(1, 512)] = 20


@register
class Pls(LinearModel):
    """λ(b) = m · max(0, c + z(b)·B), with B of the rank of a few directions of the features.

    Each direction has the largest covariance with expression that is left after the directions before it (Wold 1966;
    NIPALS). So genes share directions, which ridge regression does not.
    """

    info: ClassVar = MethodInfo(
        name="pls",
        title="Partial least squares on image features",
        paper="Wold, Multivariate Analysis (Krishnaiah), 391-420",
        year=1966,
        needs=frozenset({"features"}),
    )
    Config: ClassVar = PlsConfig

    def solve(self, spots: LearnedSpots, xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """B and c by NIPALS, on features and genes of unit variance."""
        from sklearn.cross_decomposition import PLSRegression

        model = PLSRegression(min(self.config.components, *spots.z.shape)).fit(spots.z, spots.density)
        coefficients = model.coef_.T
        return coefficients, model.intercept_ - spots.z.mean(axis=0) @ coefficients
