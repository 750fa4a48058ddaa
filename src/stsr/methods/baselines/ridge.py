"""Ridge regression on image features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import MethodInfo, register
from stsr.methods.shared.learned_spots import LearnedSpots
from stsr.methods.shared.linear_model import LinearModel
from stsr.options import Number, Options, Whole

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
"""Values of α among which cross-validation chooses."""

FOLDS = 5
"""Folds of cross-validation; fewer where the spots lie in fewer blocks, as in a needle biopsy."""


@dataclass(frozen=True)
class RidgeConfig(Options):
    """Options of ridge regression.

    Parameters
    ----------
    penalty
        α; None chooses it by cross-validation.
    blocks
        Cross-validation divides the section into ``blocks x blocks`` blocks and leaves out whole blocks: neighbouring
        spots are correlated, so leaving out single ones would choose too small a penalty.
    """

    penalty: Annotated[float | None, Number(1e-6, 1e12, optional=True)] = None
    blocks: Annotated[int, Whole(3, 64)] = 4


@register
class Ridge(LinearModel):
    """A penalised linear model of image features, one for each gene.

    It is fitted to the mean features of the discs of spots and applied to every cell.

    Formula
    -------
    ::

        λ_g(b) = m_g max(0, c_g + z(b) · B_g)
        B, c = argmin Σ_s |y_s / a - c - z̄_s · B|² + α |B|²

    - λ_g(b): expected count of gene g in cell b
    - z(b): features of the cell, standardised by their mean and standard deviation *over cells*; z̄_s: their mean over
      the disc
    - y_s: counts of a spot whose whole disc is on tissue; a: cells in a disc
    - α: ``penalty``, chosen by cross-validation that leaves out blocks of the section
    - m_g: makes the cells under all spots add up to the measured counts

    Features that vary within a disc average out in z̄, so α shrinks their coefficients most; these are the features in
    which cells vary more than discs.

    Source
    ------
    Hoerl and Kennard's estimator. Ours: features are standardised over cells, not over spots; negative rates are 0;
    the factor m; and of all penalties within a standard error of the best, the largest is taken.

    Use
    ---
    To predict from the image alone, within seconds: sections without spots, or genes outside a panel. It is the
    baseline of methods that use the image.
    """

    info: ClassVar = MethodInfo(
        name="ridge",
        title="Ridge regression on image features",
        paper="Hoerl & Kennard, Technometrics 12",
        year=1970,
        references=("hoerl1970",),
        needs=frozenset({"features"}),
    )
    Config: ClassVar = RidgeConfig

    def solve(self, spots: LearnedSpots, xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """B and c of the penalised least squares."""
        from sklearn import linear_model

        penalty = self.config.penalty or choose_penalty(spots.z, spots.density, xy, self.config.blocks)
        model = linear_model.Ridge(penalty).fit(spots.z, spots.density)
        return np.atleast_2d(model.coef_).T, model.intercept_  # scikit-learn drops the axis of a single gene


def choose_penalty(
    z: NDArray[np.float64], density: NDArray[np.float32], spots: NDArray[np.float64], blocks: int
) -> float:
    """The largest penalty that predicts left-out blocks within a standard error of the best (Breiman et al. 1984).

    The error is the mean square over genes scaled to unit variance. The optimum is flat, and the features of cells lie
    outside the range of the means over discs, so of the equally good fits the most regularised one extrapolates best.
    """
    from sklearn import linear_model
    from sklearn.model_selection import GroupKFold

    spread = density.std(axis=0)
    target = density / np.where(spread > 0, spread, 1)
    rank = spots.argsort(axis=0).argsort(axis=0) * blocks // len(spots)
    groups = rank[:, 0] * blocks + rank[:, 1]
    folds = min(FOLDS, len(np.unique(groups)))
    splits = GroupKFold(folds).split(z, groups=groups)

    def errors(learn: NDArray[np.int64], test: NDArray[np.int64]) -> list[float]:
        fits = (linear_model.Ridge(penalty).fit(z[learn], target[learn]) for penalty in PENALTIES)
        return [float(np.mean((fit.predict(z[test]) - target[test]) ** 2)) for fit in fits]

    error = np.array([errors(learn, test) for learn, test in splits])
    excess = error - error[:, [error.mean(axis=0).argmin()]]
    # one standard error of the paired difference to the best penalty, over folds
    good = excess.mean(axis=0) <= excess.std(axis=0, ddof=1) / np.sqrt(folds)
    return float(np.array(PENALTIES)[good].max())
