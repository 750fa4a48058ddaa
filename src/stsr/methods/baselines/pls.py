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
    """A linear model of image features, through a few directions of the features that all genes share.

    The directions are those along which features and expression covary most. They are fitted to the mean features of
    the discs of spots, and the model is applied to every cell.

    Formula
    -------
    ::

        λ_g(b) = m_g max(0, c_g + z(b) · B_g),    rank(B) = components

    - λ_g(b): expected count of gene g in cell b
    - z(b): features of the cell, standardised by their mean and standard deviation over cells
    - B, c: coefficients and intercepts from NIPALS on the mean features of the discs
    - m_g: makes the cells under all spots add up to the measured counts

    Source
    ------
    Wold's NIPALS: each direction has the largest covariance with expression that the directions before it left. Ours:
    features are standardised over cells, not over spots; negative rates are 0; and the factor m.

    Use
    ---
    To predict from the image alone with many correlated genes, or as a second linear model beside ``ridge``, which
    does not share directions among genes.
    """

    info: ClassVar = MethodInfo(
        name="pls",
        title="Partial least squares on image features",
        paper="Wold, Multivariate Analysis (Krishnaiah), 391-420",
        year=1966,
        references=("wold1966",),
        needs=frozenset({"features"}),
    )
    Config: ClassVar = PlsConfig

    def solve(self, spots: LearnedSpots, xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """B and c by NIPALS, on features and genes of unit variance."""
        from sklearn.cross_decomposition import PLSRegression

        model = PLSRegression(min(self.config.components, *spots.z.shape)).fit(spots.z, spots.density)
        coefficients = model.coef_.T
        return coefficients, model.intercept_ - spots.z.mean(axis=0) @ coefficients
