"""Fit one shift, rotation and scale for all blocks of a section."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from stsr.imaging.registration import STEP, BlockMaps

ROTATIONS = np.deg2rad(np.linspace(-2.0, 2.0, 17))
"""Initial rotations of the fit."""

PRIOR = 50.0
"""Prior of scale and rotation: standard deviation of the movement in µm at a typical distance from the centre. It decides
where there is a single block."""

NEAR = 500.0
"""Smallest distance in µm from the centre at which that movement is measured, where all blocks are nearer."""

FINER = 4
"""Maps are interpolated by splines to this many points per step."""


@dataclass(frozen=True)
class Similarity:
    """A shift, a rotation and a change of scale.

    Parameters
    ----------
    shift
        (x, y) of the centre in µm.
    scale
        Factor on distances from the centre.
    rotation
        In radians, clockwise as seen in the image.
    centre
        (x, y) in µm.
    """

    shift: tuple[float, float]
    scale: float
    rotation: float
    centre: tuple[float, float]

    def displacement(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(points, 2) displacement in µm of points (points, 2)."""
        cos, sin = self.scale * np.cos(self.rotation), self.scale * np.sin(self.rotation)
        return (xy - self.centre) @ np.array([[cos - 1, sin], [-sin, cos - 1]]) + self.shift


def fit_similarity(blocks: BlockMaps, *, resamples: int = 20, seed: int = 0) -> tuple[Similarity, float]:
    """Fit the similarity to all blocks together: the maximum of their summed log-likelihoods and of the prior.

    A block without structure has no influence, since its likelihood is constant. A chance maximum in one block does not
    change the result when the others have none there.

    Parameters
    ----------
    blocks
        One or more.
    resamples
        Number of bootstrap fits, to blocks drawn with replacement.
    seed
        Seed of the draws.

    Returns
    -------
    fit, error
        The similarity; and the root mean square distance, in µm, by which it moves a block from one bootstrap sample to
        another. Without any structure, that is about as large as the tested shifts.
    """
    fit = _Fit(blocks)
    n = len(blocks.xy)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    drawn = [fit(each).displacement(blocks.xy) for each in times]
    return fit(np.ones(n)), float(np.sqrt(np.var(drawn, axis=0).sum(axis=-1).mean()))


class _Fit:
    """Fits a similarity to weighted blocks; made once for all bootstrap fits."""

    def __init__(self, blocks: BlockMaps) -> None:
        self.xy, self.likelihood = blocks.xy, blocks.likelihood
        size = self.likelihood.shape[1]
        self.middle = size // 2
        centre = np.average(blocks.xy, axis=0, weights=blocks.weights)
        self.still = Similarity((0.0, 0.0), 1.0, 0.0, (float(centre[0]), float(centre[1])))
        self.spread = max(NEAR, float(np.sqrt(((blocks.xy - centre) ** 2).sum(axis=1).mean())))
        self.fine = ndimage.zoom(self.likelihood, (1, *[((size - 1) * FINER + 1) / size] * 2))

    def __call__(self, weights: NDArray[np.float64]) -> Similarity:
        start = self._start(weights)
        simplex = start + np.vstack([np.zeros(4), 2 * STEP * np.eye(4)])
        found = optimize.minimize(
            self._loss,
            start,
            args=(weights,),
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 0.05, "fatol": 1e-3},
        )
        return self._similarity(found.x)

    def _similarity(self, numbers: NDArray[np.float64]) -> Similarity:
        """From four numbers in µm: shift in x and y, and movement by scale and rotation at the distance ``self.spread``."""
        x, y, growth, turn = (float(number) for number in numbers)
        return replace(self.still, shift=(x, y), scale=1 + growth / self.spread, rotation=turn / self.spread)

    def _loss(self, numbers: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        shift = self._similarity(numbers).displacement(self.xy)
        col, row = (shift.T / STEP + self.middle) * FINER
        # beyond the tested shifts the log-likelihood is 0, that of no correlation
        likelihood = ndimage.map_coordinates(self.fine, (np.arange(len(shift)), row, col), order=1)
        return float((numbers[2:] ** 2).sum() / PRIOR**2 / 2 - weights @ likelihood)

    def _start(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Best of the initial rotations with any shift, in whole steps."""
        stacks = []
        for rotation in ROTATIONS:
            moved = replace(self.still, rotation=float(rotation)).displacement(self.xy)
            stacks.append(_stacked(self.likelihood, weights, np.rint(moved / STEP).astype(np.int64)))
        turn, row, col = np.unravel_index(np.argmax(stacks), np.shape(stacks))
        shift = ((col - self.middle) * STEP, (row - self.middle) * STEP)
        return np.array([*shift, 0.0, ROTATIONS[turn] * self.spread])


def _stacked(maps: NDArray[np.float64], weights: NDArray[np.float64], moved: NDArray[np.int64]) -> NDArray[np.float64]:
    """(shifts, shifts) weighted sum of maps (blocks, shifts, shifts), each first moved by whole steps (blocks, 2)."""
    size, pad = maps.shape[1], int(np.abs(moved).max())
    wide = np.zeros((size + 2 * pad, size + 2 * pad))
    for each, weight, (x, y) in zip(maps, weights, moved, strict=True):
        wide[pad - y : pad - y + size, pad - x : pad - x + size] += weight * each
    return wide[pad : pad + size, pad : pad + size]
