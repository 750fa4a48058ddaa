"""The H&E image as a lazily read raster with a known position in µm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BACKGROUND = 255
"""Value read outside the image: bare glass."""

MPP_TOLERANCE = 1.01
"""Factor by which a level may be coarser than requested."""

HALF_UP = 0.5001
"""Added before rounding down: a little more than 1/2, so that rounding errors do not decide on values half way."""


@dataclass(frozen=True, eq=False)
class Raster:
    """An RGB image with one or more levels of resolution, read window by window in any frame.

    Parameters
    ----------
    levels
        From fine to coarse, each a sliceable ``(3, y, x)`` uint8 array (numpy, zarr or dask) and its (3, 3) affine
        from pixel corners (col, row) to µm (x, y).
    """

    levels: tuple[tuple[Any, NDArray[np.float64]], ...]

    @staticmethod
    def _mpp(affine: NDArray[np.float64]) -> float:
        return float(np.sqrt(abs(np.linalg.det(affine[:2, :2]))))

    @property
    def mpp(self) -> float:
        """µm per pixel of the finest level."""
        return self._mpp(self.levels[0][1])

    def read(self, affine: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Resample the image into a window.

        The window is read from the coarsest level that is at least as fine as requested, averaged down to about the
        window's own resolution, then interpolated linearly.

        Parameters
        ----------
        affine
            (3, 3), from the window's pixel corners (col, row) to µm.
        shape
            Height and width of the window in pixels.

        Returns
        -------
        (height, width, 3) uint8; white outside the image.
        """
        wanted = self._mpp(affine)
        fit = [level for level in self.levels if self._mpp(level[1]) <= wanted * MPP_TOLERANCE]
        array, to_um = fit[-1] if fit else self.levels[0]
        to_pixel = np.linalg.inv(to_um) @ affine
        height, width = shape
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ to_pixel.T
        step = max(1, round(wanted / self._mpp(to_um)))
        # whole steps from the image's corner, so that the averaged pixels do not depend on the window
        low = (np.floor(corners[:, :2].min(axis=0) / step).astype(int) - 1) * step
        high = (np.ceil(corners[:, :2].max(axis=0) / step).astype(int) + 1) * step

        crop = self._crop(array, low, high)
        if step > 1:
            h, w = crop.shape[1] // step, crop.shape[2] // step
            crop = crop.reshape(3, h, step, w, step).mean(axis=(2, 4), dtype=np.float32)
        rows, cols = np.arange(height)[:, None] + 0.5, np.arange(width)[None, :] + 0.5
        x = (to_pixel[0, 0] * cols + to_pixel[0, 1] * rows + to_pixel[0, 2] - low[0]) / step - 0.5
        y = (to_pixel[1, 0] * cols + to_pixel[1, 1] * rows + to_pixel[1, 2] - low[1]) / step - 0.5
        window = [ndimage.map_coordinates(band.astype(np.float32), (y, x), order=1, mode="nearest") for band in crop]
        return np.floor(np.stack(window, axis=-1) + HALF_UP).astype(np.uint8)

    @staticmethod
    def _crop(array: Any, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(3, high_y - low_y, high_x - low_x) pixels, background where the box leaves the image."""
        size = np.array([array.shape[2], array.shape[1]])
        a, b = np.clip(low, 0, size), np.clip(high, 0, size)
        crop = np.full((3, high[1] - low[1], high[0] - low[0]), BACKGROUND, dtype=np.uint8)
        if (b > a).all():
            crop[:, a[1] - low[1] : b[1] - low[1], a[0] - low[0] : b[0] - low[0]] = np.asarray(
                array[:, a[1] : b[1], a[0] : b[0]]
            )
        return crop
