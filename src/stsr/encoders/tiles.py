"""From overlapping tiles of an image to a seamless raster of features on a grid."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stsr.encoders.base import EncoderInfo
from stsr.encoders.lattice import Axis
from stsr.geometry import Grid
from stsr.imaging.raster import Raster

logger = logging.getLogger(__name__)

MPP_TOLERANCE = 1.05
"""µm per pixel of an image over those of the encoder, above which enlarging it is logged."""

THREADS = min(8, os.cpu_count() or 1)
"""Threads that read tiles."""


class TileEncoder(ABC):
    """Base of the encoders that take tiles: they set the attributes and implement :meth:`encode`."""

    info: EncoderInfo
    batch_size: int
    _mosaic: Mosaic | None = None

    @abstractmethod
    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Take RGB tiles (n, tile, tile, 3) to their tokens (n, tile / patch, tile / patch, dim)."""

    def encode_rows(self, raster: Raster, grid: Grid, rows: slice) -> NDArray[np.float32]:
        """(dim, rows, cols) features of a band of grid rows; those of cells outside tissue are undefined.

        Tiles lie on a lattice fixed to the grid, so the result does not depend on the band. Tiles that the next band
        shares with this one are kept.
        """
        if self._mosaic is None or self._mosaic.raster is not raster or self._mosaic.grid is not grid:
            self._mosaic = Mosaic(self, raster, grid)
        return self._mosaic.rows(rows)


class Mosaic:
    """The tokens of all tiles over one grid, made strip by strip: a strip is one row of tiles, blended side by side."""

    def __init__(self, encoder: TileEncoder, raster: Raster, grid: Grid) -> None:
        info = encoder.info
        token = info.patch * info.mpp
        centre = token / 2 if info.centre is None else info.centre * info.mpp
        axis = partial(Axis, bin_size=grid.bin_size, token=token, centre=centre, per_tile=info.tile // info.patch)
        self.encoder, self.raster, self.grid = encoder, raster, grid
        self.y, self.x = axis(grid.shape[0]), axis(grid.shape[1])
        self.wanted = self._wanted()
        self.strips: dict[int, NDArray[np.float32]] = {}
        if raster.mpp > info.mpp * MPP_TOLERANCE:
            logger.warning(
                "The image has %.2f µm/px, encoder %s takes %.2f µm/px: the image is enlarged for it.",
                raster.mpp,
                info.name,
                info.mpp,
            )

    def _wanted(self) -> NDArray[np.bool_]:
        """(tile rows, tile cols) whether a tile holds a token that a cell inside tissue needs."""
        used = self.y.weights.T @ self.grid.mask.astype(np.float32) @ self.x.weights > 0
        wanted = np.zeros((len(self.y.tiles), len(self.x.tiles)), dtype=bool)
        for i, j in np.ndindex(wanted.shape):
            wanted[i, j] = used[self.y.inside(i)[0], self.x.inside(j)[0]].any()
        return wanted

    def rows(self, rows: slice) -> NDArray[np.float32]:
        """(dim, rows, cols) features of a band of grid rows."""
        weights = self.y.weights[rows]
        low, high = int(weights.indices.min()), int(weights.indices.max()) + 1
        tokens = np.zeros((high - low, self.x.tokens, self.encoder.info.dim), dtype=np.float32)
        reached = [i for i, start in enumerate(self.y.tiles) if start < high and start + self.y.per_tile > low]
        self.strips = {i: self.strips[i] if i in self.strips else self._strip(i) for i in reached}
        for i in reached:
            start = int(self.y.tiles[i])
            first, last = max(start, low), min(start + self.y.per_tile, high)
            part = slice(first - start, last - start)
            tokens[first - low : last - low] += self.y.taper[part, None, None] * self.strips[i][part]

        lines = (weights[:, low:high] @ tokens.reshape(len(tokens), -1)).reshape(-1, *tokens.shape[1:])
        features = np.empty((self.encoder.info.dim, len(lines), self.x.cells), dtype=np.float32)
        for row, line in enumerate(lines):
            features[:, row] = (self.x.weights @ line).T
        return features

    def _strip(self, i: int) -> NDArray[np.float32]:
        """(tokens of a tile, tokens along x, dim): one row of tiles, encoded and blended along x."""
        strip = np.zeros((self.y.per_tile, self.x.tokens, self.encoder.info.dim), dtype=np.float32)
        wanted = np.flatnonzero(self.wanted[i])
        with ThreadPoolExecutor(THREADS) as pool:
            tiles = pool.map(partial(self._read, i), wanted)
            for start in range(0, len(wanted), self.encoder.batch_size):
                batch = wanted[start : start + self.encoder.batch_size]
                tokens = self.encoder.encode(np.stack([next(tiles) for _ in batch]))
                for j, token in zip(batch, tokens, strict=True):
                    here, there = self.x.inside(j)
                    strip[:, here] += self.x.taper[there, None] * token[:, there]
        return strip

    def _read(self, i: int, j: int) -> NDArray[np.uint8]:
        """(tile, tile, 3) pixels of one tile, upright in the grid's own frame."""
        info, side = self.encoder.info, self.grid.bin_size
        to_um = self.grid.affine @ np.diag([1 / side, 1 / side, 1.0])
        place = np.array([[info.mpp, 0, self.x.origins[j]], [0, info.mpp, self.y.origins[i]], [0, 0, 1]])
        return self.raster.read(to_um @ place, (info.tile, info.tile))
