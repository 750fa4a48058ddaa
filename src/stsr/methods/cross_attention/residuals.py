"""What spots measured beyond a regression on their own image features; it is correlated with the cells around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.expected import Array, Expected, Facts
from stsr.methods.shared.learned_arrays import LearnedArrays
from stsr.methods.shared.requirements import enough_spots
from stsr.methods.shared.targets import log_normalised
from stsr.section import Section

PENALTIES = 10.0 ** np.arange(7)
"""Values of α that leaving one spot out chooses from."""


@dataclass(frozen=True, eq=False)
class Residuals(LearnedArrays):
    """Directions of expression in which spots are compared with what a regression on their features expects of them.

    Parameters
    ----------
    axes
        (genes, directions) principal axes of log expression, scaled.
    library
        (1,) what the logarithm of the library size, one more direction, is multiplied by.
    """

    prefix: ClassVar = "residuals"

    axes: NDArray[np.float32]
    library: NDArray[np.float32]

    @classmethod
    def learn(cls, section: Section, *, directions: int) -> Self:
        """Principal axes over the spots of ``section``.

        The first has unit variance, and the others keep half of the difference between the logarithms of variances.
        """
        from sklearn.decomposition import PCA

        log = log_normalised(section, section.depth)
        pca = PCA(min(directions, *log.shape), random_state=0).fit(log)
        sd = np.maximum(np.sqrt(pca.explained_variance_), 1e-6)
        axes = pca.components_ / np.sqrt(sd * sd[0])[:, None]
        return cls(axes.T.astype(np.float32), 1 / np.maximum(log_library(section).std(keepdims=True), 1e-3))

    @classmethod
    def expected(cls, facts: Facts) -> Expected:
        """What is kept of it."""
        yield f"{cls.prefix}/axes", Array((facts.genes, "directions"))
        yield f"{cls.prefix}/library", Array((1,))

    def of(self, section: Section, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(spots, directions + 1) residuals, from the (spots, width) features of discs.

        All are 0 where too few spots lie on tissue.
        """
        if not enough_spots(section):
            return np.zeros((len(section.spots), self.axes.shape[1] + 1), dtype=np.float32)
        expression = np.column_stack(
            [log_normalised(section, section.depth) @ self.axes, log_library(section) * self.library]
        )
        return left_out(expression, features).astype(np.float32)


def log_library(section: Section) -> NDArray[np.float32]:
    """(spots,) logarithm of the library size."""
    return np.log(np.maximum(section.library, 1)).astype(np.float32)


def left_out(y: NDArray[np.floating], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, targets) what ridge regression of y (n, targets) on x (n, features) misses of each row when it is left out.

    From one decomposition, without fitting anew (Golub, Heath & Wahba 1979): e_i / (1 - h_i), e being the residuals and
    h the leverages. They choose the penalty too, one for each target.
    """
    x, y = x - x.mean(axis=0, dtype=np.float64), y - y.mean(axis=0, dtype=np.float64)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    projected = u.T @ y

    def missed(penalty: float) -> NDArray[np.float64]:
        kept = s**2 / (s**2 + penalty)
        leverage = u**2 @ kept + 1 / len(x)
        return (y - u @ (kept[:, None] * projected)) / (1 - leverage)[:, None]

    candidates = np.stack([missed(penalty) for penalty in PENALTIES])
    best = (candidates**2).sum(axis=1).argmin(axis=0)
    return candidates[best, :, np.arange(y.shape[1])].T
