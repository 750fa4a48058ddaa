"""Correlation of values measured at points with the image, for shifts of the points, in blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from stsr.imaging.raster import Raster

STEP = 4.0
"""µm between the tested shifts, and µm per pixel of the image."""

MIN_POINTS = 20
"""Points that a block needs, at least."""

FLAT = 1e-9
"""Variance of the image, relative to its largest square, up to which it is constant but for rounding errors."""

MAX_CORRELATION = 0.999
"""Larger correlations are cut to this in likelihoods, which would be infinite at 1."""


@dataclass(frozen=True, eq=False)
class BlockMaps:
    """Correlation of the points of each block with the image, by shift.

    Parameters
    ----------
    xy
        (blocks, 2) mean position of the points of each block in µm.
    points
        (blocks,) number of points.
    weights
        (blocks,) effective number of independent points.
    maps
        (blocks, shifts, shifts) Pearson correlation by shift of the points in y and in x, in steps of :data:`STEP`; no
        shift is in the middle.
    """

    xy: NDArray[np.float64]
    points: NDArray[np.int64]
    weights: NDArray[np.float64]
    maps: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(shifts, shifts) correlation when all blocks are shifted together."""
        return np.average(self.maps, axis=0, weights=self.weights)

    @property
    def sign(self) -> float:
        """Sign of the strongest correlation: 1 where values rise with the image, -1 where they fall."""
        mean = self.mean
        return float(np.sign(mean.flat[np.abs(mean).argmax()]))

    @property
    def likelihood(self) -> NDArray[np.float64]:
        r"""(blocks, shifts, shifts) log-likelihood of each shift, up to a constant.

        Values that depend linearly on the image, with any slope of the right sign and Gaussian errors, have
        :math:`-\frac n2 \log(1 - r^2)` for :math:`n` independent points; it is constant in a block without structure.
        """
        right = (self.sign * self.maps).clip(0, MAX_CORRELATION)
        return -0.5 * self.weights[:, None, None] * np.log1p(-(right**2))

    def at(self, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        """(blocks,) correlation at a shift (blocks, 2) in µm of each block; 0 beyond the tested shifts."""
        col, row = shift.T / STEP + self.maps.shape[1] // 2
        return ndimage.map_coordinates(self.maps, (np.arange(len(self.maps)), row, col), order=1)

    def alone(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Best shift of each block by itself.

        Returns
        -------
        shift, error, correlation
            (blocks, 2) best shift (x, y) in µm, (blocks,) its error (root mean square distance to all tested shifts,
            weighted by their likelihood), and the correlation there.
        """
        middle = self.maps.shape[1] // 2
        away = (np.arange(self.maps.shape[1]) - middle) * STEP
        number = np.arange(len(self.maps))
        likelihood = self.likelihood
        best = likelihood.reshape(len(number), -1).argmax(axis=1)
        row, col = np.unravel_index(best, self.maps.shape[1:])
        shift = np.column_stack([away[col], away[row]])
        shift = shift + STEP * np.column_stack(
            [_between(likelihood[number, row], col), _between(likelihood[number, :, col], row)]
        )
        share = np.exp(likelihood - likelihood[number, row, col][:, None, None])
        squared = (away - shift[:, :1])[:, None, :] ** 2 + (away - shift[:, 1:])[:, :, None] ** 2
        error = np.sqrt((share * squared).sum(axis=(1, 2)) / share.sum(axis=(1, 2)))
        return shift, error, self.maps[number, row, col]


def _between(lines: NDArray[np.float64], peak: NDArray[np.int64]) -> NDArray[np.float64]:
    """(lines,) offset, in points, from the highest point to the vertex of the parabola through it and its neighbours."""
    number = np.arange(len(lines))
    at = peak.clip(1, lines.shape[1] - 2)
    before, top, after = (lines[number, at + step] for step in (-1, 0, 1))
    bend = 2 * top - before - after
    return np.where((at == peak) & (bend > 0), (after - before) / 2 / np.where(bend > 0, bend, 1), 0.0)


def block_maps(
    raster: Raster,
    xy: NDArray[np.float64],
    values: NDArray[np.float64],
    kernel: NDArray[np.float64],
    *,
    window: float,
    reach: float,
) -> BlockMaps:
    """Correlate values at points with the haematoxylin that they cover, for every shift of the points.

    Parameters
    ----------
    raster
        The H&E in its original colours. Normalisation to another slide mixes the stains: on a kidney section it halved
        the correlations.
    xy
        (points, 2) in µm.
    values
        (points,) measured values.
    kernel
        (rows, cols) weight of the pixels of :data:`STEP` µm that a point covers; the point is in the centre.
    window
        Side of a block in µm.
    reach
        Largest shift along each axis in µm.

    Returns
    -------
    The blocks with at least :data:`MIN_POINTS` points, except those with constant values or a constant image.
    """
    margin = round(reach / STEP)
    beyond = max(kernel.shape) // 2 + 1
    kernel = kernel / kernel.sum()
    _, block = np.unique(np.floor((xy - xy.min(axis=0)) / window), axis=0, return_inverse=True)
    kept, maps, weights = [], [], []
    for each in range(int(block.max()) + 1):
        own = np.flatnonzero(block == each)
        if len(own) < MIN_POINTS or np.ptp(values[own]) == 0:
            continue
        density, place, shape = _under(raster, xy[own], margin + beyond)
        if np.ptp(density) == 0:
            continue
        smooth = signal.fftconvolve(density - density.mean(), kernel, mode="same")[beyond:-beyond, beyond:-beyond]
        correlation, weight = correlations(smooth, place, values[own], shape)
        kept.append(own)
        maps.append(correlation)
        weights.append(weight)
    return BlockMaps(
        xy=np.reshape([xy[own].mean(axis=0) for own in kept], (-1, 2)),
        points=np.array([len(own) for own in kept], dtype=np.int64),
        weights=np.array(weights),
        maps=np.reshape(maps, (-1, 2 * margin + 1, 2 * margin + 1)),
    )


def _under(
    raster: Raster, xy: NDArray[np.float64], pad: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, int]]:
    """Haematoxylin around points with ``pad`` pixels of padding; points in pixels, and the shape, of the part without it."""
    corner = (np.floor(xy.min(axis=0) / STEP) - 1) * STEP
    place = (xy - corner) / STEP
    width, height = (int(side) for side in np.ceil(place.max(axis=0)) + 1)
    frame = np.array([[STEP, 0, corner[0] - pad * STEP], [0, STEP, corner[1] - pad * STEP], [0, 0, 1]])
    return haematoxylin(raster.read(frame, (height + 2 * pad, width + 2 * pad))), place, (height, width)


def haematoxylin(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(rows, cols) haematoxylin of H&E pixels (rows, cols, 3), by the stain vectors of Ruifrok and Johnston (2001)."""
    from skimage.color import rgb2hed

    return rgb2hed(image)[..., 0]


def correlations(
    density: NDArray[np.float64], place: NDArray[np.float64], values: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], float]:
    r"""Pearson correlation of values at points with a raster, for every shift of the points that stays on it.

    Parameters
    ----------
    density
        (rows + 2 reach, cols + 2 reach) raster.
    place
        (points, 2) as (x, y) in pixels of its middle part, a pixel or more from its edge.
    values
        (points,), not all the same.
    shape
        (rows, cols) of the middle part.

    Returns
    -------
    map, independent
        (2 reach + 1, 2 reach + 1) correlation by shift in y and x, 0 where the raster is constant; and the effective number
        of independent points. Both patterns are autocorrelated, so unrelated ones correlate by chance with a variance of
        :math:`\frac1n \sum_h \rho_v(h) \rho_d(h)` over all lags (Clifford, Richardson & Hémon, Biometrics 45 (1989) 123-134).
    """
    n = len(values)
    values = (values - values.mean()) / (values.std() * np.sqrt(n))
    points, each = _spread(place, values, shape), _spread(place, np.ones(n), shape)
    product, sums, squares = (
        signal.correlate(raster, of, mode="valid", method="fft")
        for raster, of in ((density, points), (density, each), (density**2, each))
    )
    variance = squares - sums**2 / n
    flat = variance <= FLAT * np.max(density**2) * n
    correlation = np.where(flat, 0.0, product / np.sqrt(np.where(flat, 1.0, variance))).clip(-1, 1)

    reach = len(correlation) // 2
    middle = density[reach : reach + shape[0], reach : reach + shape[1]]
    middle = middle - middle.mean()
    # By Parseval's theorem the sum over lags is that of the squared covariances of all shifts.
    covariances = (signal.correlate(middle, points, method="fft") ** 2).sum()
    variances = (points**2).sum() * (middle**2).sum()
    return correlation, n * min(1.0, variances / covariances) if covariances > 0 else 0.0


def _spread(place: NDArray[np.float64], values: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Raster of the sum of values at places (points, 2), each distributed bilinearly over the four pixels around it."""
    low = np.floor(place - 0.5).astype(np.int64)
    beyond = place - 0.5 - low
    raster = np.zeros(shape)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = np.abs(1 - right - beyond[:, 0]) * np.abs(1 - down - beyond[:, 1])
        np.add.at(raster, (low[:, 1] + down, low[:, 0] + right), share * values)
    return raster
