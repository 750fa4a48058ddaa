"""Features of a section on a common scale, and their means over discs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stsr.section import Section

BAND_VALUES = 2**25
"""Feature values read at a time: 128 MB as float32."""


def bands(section: Section, width: int) -> list[slice]:
    """Bands of grid rows over which an array of ``width`` columns stays within memory."""
    return section.grid.bands(max(1, BAND_VALUES // width))


def disc_means(section: Section, scaling: Scaling | None = None) -> NDArray[np.float32]:
    """(spots, features) area-weighted mean of the features, scaled or raw, under each spot; 0 where no cell lies there."""
    footprint = section.footprint.tocsc()
    width = section.n_features if scaling is None else scaling.matrix.shape[1]
    total = np.zeros((footprint.shape[0], width), dtype=np.float32)
    for rows in bands(section, section.n_features):
        cells = section.cell_features(rows)
        total += footprint[:, section.grid.cells(rows)] @ (cells if scaling is None else scaling(cells))
    area = footprint.sum(axis=1)
    return total / np.maximum(area, 1e-6)[:, None].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map that brings features to mean 0 and unit variance, and wide ones down to their principal components.

    Components keep half of the difference between the logarithms of their variances. Features say the same in many ways:
    left as they are, the first few components would be all that is heard, and made alike, noise in the last would.

    Parameters
    ----------
    mean
        (features,)
    matrix
        (features, width) applied after the mean is taken away.
    """

    limit = 5.0

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]

    @classmethod
    def learn(cls, section: Section, *, width: int) -> Scaling:
        """Estimate from the cells of the section; more than ``width`` features become ``width`` components.

        Components have unit variance on average.
        """
        features = section.n_features
        number, total, square = 0, np.zeros(features), np.zeros((features, features))
        for rows in bands(section, section.n_features):
            x = section.cell_features(rows).astype(np.float64)
            number, total, square = number + len(x), total + x.sum(axis=0), square + x.T @ x
        mean = total / number
        covariance = square / number - np.outer(mean, mean)
        sd = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        scale = np.where(sd > 1e-5, 1 / sd, 0.0)
        matrix = np.diag(scale)
        if len(mean) > width:
            values, vectors = np.linalg.eigh(covariance * np.outer(scale, scale))
            leading = np.argsort(values)[::-1][:width]
            size = np.maximum(values[leading], 1e-6) ** 0.25
            matrix = matrix @ vectors[:, leading] / size / np.sqrt((size**2).mean())
        return cls(mean.astype(np.float32), matrix.astype(np.float32))

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., features) to (..., width), clipped so that a stain artefact cannot rule the network."""
        return np.clip((x - self.mean) @ self.matrix, -self.limit, self.limit)
