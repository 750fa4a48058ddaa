"""Standardisation: values minus their mean, over their standard deviation; and features of cells as input of networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.learned_arrays import LearnedArrays
from stsr.methods.shared.spot_sums import bands
from stsr.section import Section

LEAST_VARIANCE = 1e-6
"""Smallest variance of a principal component that is divided by."""

LEAST_SD = 1e-6
"""Largest standard deviation of a feature that is taken for a constant."""


def standardised(
    x: NDArray[np.floating], mean: NDArray[np.floating], sd: NDArray[np.floating], *, limit: float = np.inf
) -> NDArray[Any]:
    """(x - mean) / sd along the last axis, clipped at ``limit`` standard deviations from 0.

    Examples
    --------
    >>> standardised(np.array([[1.0, 9.0], [3.0, 0.0]]), np.array([2.0, 1.0]), np.array([1.0, 2.0]), limit=3)
    array([[-1. ,  3. ],
           [ 1. , -0.5]])
    """
    z = (x - mean) / sd
    return z if np.isinf(limit) else np.clip(z, -limit, limit, out=z)


def moments(x: NDArray[np.floating], *, least: float | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and standard deviation over the first axis of ``x`` (n, width), (width,) each, by which to standardise.

    A constant has a standard deviation of 1, so that its standardised values are 0. With ``least`` no standard deviation is
    smaller: for values whose size is known, such as colours from 0 to 1, of which tiny variations are noise.

    Examples
    --------
    >>> moments(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 1.]))
    """
    mean, sd = x.mean(axis=0), x.std(axis=0)
    return mean, divisor(sd) if least is None else np.maximum(sd, least)


def divisor(sd: NDArray[np.floating]) -> NDArray[Any]:
    """Standard deviations to divide by: 1 for constants."""
    return np.where(sd > LEAST_SD, sd, 1)


def feature_moments(section: Section) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """:func:`moments` of the features over the cells of a section, (features,) each, computed band by band."""
    total, squares = 0.0, 0.0
    for rows in bands(section, section.n_features):
        cells = section.cell_features(rows).astype(np.float64)
        total, squares = total + cells.sum(axis=0), squares + (cells**2).sum(axis=0)
    mean = np.asarray(total / section.grid.n_cells)
    sd = np.sqrt(np.maximum(squares / section.grid.n_cells - mean**2, 0))
    return mean, divisor(sd)


@dataclass(frozen=True, eq=False)
class Scaling(LearnedArrays):
    """Standardised and clipped features, reduced to partially whitened principal components if there are many.

    Clipping at three standard deviations keeps artefacts and the stain of other slides from dominating the networks. A
    component of variance v is divided by v^¼, so its variance becomes v^½: half way, on a log scale, from no whitening (v)
    to full whitening (1). Encoder features are highly correlated: without whitening the first few components would
    dominate, with full whitening the noise in the last ones.

    Parameters
    ----------
    mean, sd
        (features,) mean and standard deviation over the cells learned from.
    matrix
        (features, width) from standardised features to the input of networks.
    """

    prefix: ClassVar = "scaling"
    limit: ClassVar = 3.0

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    matrix: NDArray[np.float32]

    @classmethod
    def learn(cls, section: Section, *, width: int) -> Self:
        """Estimate from the cells of the section; more than ``width`` features become ``width`` components.

        Components have unit variance on average over components.
        """
        features = section.n_features
        mean, sd = (moment.astype(np.float32) for moment in feature_moments(section))
        standard = cls(mean, sd, np.eye(features, dtype=np.float32))
        if features <= width:
            return standard
        covariance = np.zeros((features, features))
        for rows in bands(section, features):
            z = standard.standardised(section.cell_features(rows))
            covariance += z.T @ z / np.float32(section.grid.n_cells)
        values, vectors = np.linalg.eigh(covariance)
        leading = np.argsort(values)[::-1][:width]
        size = np.maximum(values[leading], LEAST_VARIANCE) ** 0.25
        # Divided by size = v^¼, components have the variance size² = v^½, whose mean is scaled to 1.
        matrix = vectors[:, leading] / size / np.sqrt((size**2).mean())
        # vectors[:, leading] is column-major; order="C" because astype would keep that.
        return cls(mean, sd, matrix.astype(np.float32, order="C"))

    @classmethod
    def expected(cls, facts: Facts, *, width: int) -> Expected:
        """The learned arrays, for this ``width``."""
        yield f"{cls.prefix}/mean", Array((facts.features,))
        yield f"{cls.prefix}/sd", Array((facts.features,), low=LEAST)
        yield f"{cls.prefix}/matrix", Array((facts.features, min(facts.features, width)))

    @property
    def width(self) -> int:
        """Number of input values of a cell."""
        return self.matrix.shape[1]

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., features) to (..., width)."""
        return self.standardised(x) @ self.matrix

    def standardised(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., features) standardised and clipped."""
        return standardised(x, self.mean, self.sd, limit=self.limit)
