"""Positions of tiles along one axis of a grid, and weights that take their tokens to grid cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

MIN_SPREAD = 1e-3
"""Tokens; a cell that averages over less is interpolated at its centre."""

MIN_WEIGHT = 1e-9
"""Weights up to this are rounding errors, and left out."""


@dataclass(frozen=True)
class Axis:
    """One axis of a grid with a lattice of tokens over it, and tiles of ``per_tile`` tokens that overlap.

    The lattice starts at the grid's own origin and does not depend on the part of the grid that is asked for. Lengths
    are in µm.

    Parameters
    ----------
    cells, bin_size
        Number of cells along the axis and their side.
    token
        Distance between two tokens.
    centre
        Distance from a tile's edge to the centre of its first token.
    per_tile
        Tokens of a tile along the axis, at least 2.
    """

    cells: int
    bin_size: float
    token: float
    centre: float
    per_tile: int

    @property
    def overlap(self) -> int:
        """Tokens that neighbouring tiles share: a quarter of a tile."""
        return max(1, round(self.per_tile / 4))

    @property
    def stride(self) -> int:
        """Tokens from one tile to the next."""
        return self.per_tile - self.overlap

    @cached_property
    def _spread(self) -> float:
        """Half the length, in tokens, over which a cell averages; 0 for cells no wider than a token."""
        half = (self.bin_size - self.token) / (2 * self.token)
        return half if half > MIN_SPREAD else 0.0

    @cached_property
    def _positions(self) -> NDArray[np.float64]:
        """(cells,) centres of the cells in tokens, from the centre of token 0, whose tile starts at the grid's origin."""
        return ((np.arange(self.cells, dtype=np.float64) + 0.5) * self.bin_size - self.centre) / self.token

    @cached_property
    def first(self) -> int:
        """The first token that a cell needs; negative ones lie before the grid."""
        return int(np.floor(self._positions[0] - self._spread))

    @cached_property
    def tokens(self) -> int:
        """Number of tokens that the cells need, from ``first`` on."""
        return int(np.floor(self._positions[-1] + self._spread)) + 2 - self.first

    @cached_property
    def tiles(self) -> NDArray[np.int64]:
        """(tiles,) token, counted from ``first``, at which each tile starts; the outer ones reach beyond."""
        whole = self.per_tile - 2 * self.overlap
        count = 1 + max(0, int(np.ceil((self.tokens - whole) / self.stride)))
        return np.arange(count) * self.stride - self.overlap

    @cached_property
    def origins(self) -> NDArray[np.float64]:
        """(tiles,) where each tile starts, from the grid's origin."""
        return np.multiply(self.tiles + self.first, self.token, dtype=np.float64)

    def inside(self, tile: int) -> tuple[slice, slice]:
        """Which of the needed tokens a tile holds, and where they lie in the tile."""
        start = int(self.tiles[tile])
        low, high = max(start, 0), min(start + self.per_tile, self.tokens)
        return slice(low, high), slice(low - start, high - start)

    @cached_property
    def taper(self) -> NDArray[np.float32]:
        """(per_tile,) weight of a tile's tokens: a raised cosine at both ends; those of all tiles add up to 1."""
        ramp = np.sin(np.pi / 2 * (np.arange(self.overlap) + 0.5) / self.overlap) ** 2
        taper = np.ones(self.per_tile, dtype=np.float32)
        taper[: self.overlap] = ramp
        taper[-self.overlap :] = 1 - ramp
        return taper

    @cached_property
    def weights(self) -> sp.csr_array:
        """(cells, tokens) float32 weights that take tokens to cells; each row adds up to 1.

        A cell no wider than a token is interpolated linearly at its centre. A wider one is the mean of that linear
        function over the cell, less half a token at each end, since a token is a mean over its own patch. Both are
        exact for linear functions, and cells that coincide with tokens get the values of the tokens.
        """
        reach = int(np.ceil(self._spread)) + 1
        at = (self._positions - self.first)[:, None]
        token = np.floor(at).astype(np.int64) + np.arange(-reach, reach + 2)
        weight = _hat_mean(at - token, self._spread)
        cell, slot = np.nonzero(weight > MIN_WEIGHT)
        return sp.csr_array(
            (weight[cell, slot].astype(np.float32), (cell, token[cell, slot])), shape=(self.cells, self.tokens)
        )


def _hat_mean(x: ArrayLike, spread: float) -> NDArray[np.float64]:
    """Mean of the hat function max(0, 1 - abs(x)) over ``x - spread .. x + spread``, by its integral x - x abs(x) / 2."""
    x = np.asarray(x, dtype=np.float64)
    if spread == 0:
        return np.maximum(0, 1 - np.abs(x))
    low, high = np.clip(x - spread, -1, 1), np.clip(x + spread, -1, 1)
    return ((high - high * np.abs(high) / 2) - (low - low * np.abs(low) / 2)) / (2 * spread)
