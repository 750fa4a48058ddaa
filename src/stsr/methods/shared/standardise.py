"""Features on a common scale, as networks are shown them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.learned_arrays import Kept
from stsr.methods.shared.spot_sums import bands
from stsr.section import Section


@dataclass(frozen=True, eq=False)
class Scaling(Kept):
    """Features standardised, none of them extreme, wide ones brought down to principal components.

    What lies beyond three standard deviations counts as three: an artefact, or the stain of another slide, must not rule
    the networks. Components keep half of the difference between the logarithms of their variances. Features say the same
    in many ways: left as they are, the first few components would be all that is heard, and made alike, noise in the last
    would.

    Parameters
    ----------
    mean, sd
        (features,) of the cells learned from.
    matrix
        (features, width) from standardised features to what networks are shown.
    """

    prefix: ClassVar = "scaling"
    limit: ClassVar = 3.0

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    matrix: NDArray[np.float32]

    @classmethod
    def learn(cls, section: Section, *, width: int) -> Self:
        """Estimate from the cells of the section; more than ``width`` features become ``width`` components.

        Components have unit variance on average.
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
        size = np.maximum(values[leading], 1e-6) ** 0.25
        matrix = vectors[:, leading] / size / np.sqrt((size**2).mean())
        # vectors[:, leading] is transposed in memory, and astype would keep it so
        return cls(mean, sd, matrix.astype(np.float32, order="C"))

    @classmethod
    def expected(cls, facts: Facts, *, width: int) -> Expected:
        """What is kept of it, learned with this ``width``."""
        yield f"{cls.prefix}/mean", Array((facts.features,))
        yield f"{cls.prefix}/sd", Array((facts.features,), low=LEAST)
        yield f"{cls.prefix}/matrix", Array((facts.features, min(facts.features, width)))

    @property
    def width(self) -> int:
        """How many numbers describe a cell."""
        return self.matrix.shape[1]

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., features) to (..., width)."""
        return self.standardised(x) @ self.matrix

    def standardised(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., features), none of them extreme."""
        z = x - self.mean
        z /= self.sd
        return np.clip(z, -self.limit, self.limit, out=z)


def feature_moments(section: Section) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the features over cells, (features,) each; a constant feature gets 1."""
    total, squares = 0.0, 0.0
    for rows in bands(section, section.n_features):
        cells = section.cell_features(rows).astype(np.float64)
        total, squares = total + cells.sum(axis=0), squares + (cells**2).sum(axis=0)
    mean = np.asarray(total / section.grid.n_cells)
    sd = np.sqrt(np.maximum(squares / section.grid.n_cells - mean**2, 0))
    return mean, np.where(sd > 1e-6, sd, 1)
