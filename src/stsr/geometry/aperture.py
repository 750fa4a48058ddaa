"""What part of the tissue a spot measures: a printed disc, or the square of a bin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.geometry.grid import Grid
from stsr.options import Number

SIZE = Number(1e-6, 1e9)
"""Of what a spot covers, in µm."""


@dataclass(frozen=True)
class Disc:
    """The disc of a printed spot.

    Parameters
    ----------
    diameter
        In µm.
    """

    diameter: float

    def __post_init__(self) -> None:
        SIZE("diameter", self.diameter)

    @property
    def area(self) -> float:
        """In µm²."""
        return float(np.pi * self.diameter**2 / 4)

    @property
    def reach(self) -> float:
        """How far it extends from its centre, in µm."""
        return self.diameter / 2

    def covers(self, offset: ArrayLike) -> NDArray[np.bool_]:
        """(...) whether it covers points (..., 2), in µm from its centre."""
        return (np.asarray(offset) ** 2).sum(axis=-1) <= self.reach**2

    def beyond(self, offset: ArrayLike) -> NDArray[np.float64]:
        """(...) how far points (..., 2) lie beyond its edge, in µm; 0 inside."""
        return np.maximum(np.sqrt((np.asarray(offset) ** 2).sum(axis=-1)) - self.reach, 0)


@dataclass(frozen=True)
class Square:
    """The square of a bin.

    Parameters
    ----------
    side
        In µm.
    angle
        Rotation against the image, in radians.
    """

    side: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        SIZE("side", self.side)
        Number()("angle", self.angle)

    @classmethod
    def of(cls, grid: Grid) -> Square:
        """A cell of a grid."""
        return cls(grid.bin_size, float(np.arctan2(grid.affine[1, 0], grid.affine[0, 0])))

    @property
    def area(self) -> float:
        """In µm²."""
        return self.side**2

    @property
    def reach(self) -> float:
        """How far it extends from its centre, in µm."""
        return float(self.side / np.sqrt(2))

    @property
    def corners(self) -> NDArray[np.float64]:
        """(4, 2) in µm from its centre."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ np.array([[cos, sin], [-sin, cos]])
        return turned * self.side / 2

    def covers(self, offset: ArrayLike) -> NDArray[np.bool_]:
        """(...) whether it covers points (..., 2), in µm from its centre; of two squares side by side, one does."""
        along: NDArray[np.float64] = self._along(offset)
        return np.all((along >= -self.side / 2) & (along < self.side / 2), axis=-1)

    def beyond(self, offset: ArrayLike) -> NDArray[np.float64]:
        """(...) how far points (..., 2) lie beyond its edge, in µm; 0 inside."""
        outside = np.maximum(np.abs(self._along(offset)) - self.side / 2, 0)
        return np.sqrt((outside**2).sum(axis=-1))

    def _along(self, offset: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 2) along its own sides."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.asarray(offset) @ np.array([[cos, -sin], [sin, cos]])


Aperture = Disc | Square
