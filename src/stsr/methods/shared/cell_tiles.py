"""Square tiles of grid cells, the disc of a spot in a tile, and the tokens of cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stsr.geometry import Grid
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.spot_sums import bands
from stsr.methods.shared.standardise import feature_moments, moments, standardised
from stsr.section import Section

PIXELS = 4
"""Side of a cell in pixels for its mean colour."""

LIMIT = 10.0
"""Standard deviations at which tokens are clipped, so that an artefact on the slide does not dominate a tile."""

LEAST_SD = 1e-3
"""Smallest standard deviation of a colour that is divided by."""

EDGE = 1e-6
"""Cells added to the radius of a disc, so that rounding does not exclude a cell centre on its border."""


def cell_colours(section: Section) -> NDArray[np.float32]:
    """(cells, 3) mean red, green and blue of every cell, 0 to 1."""
    colours = np.empty((section.grid.n_cells, 3), dtype=np.float32)
    for rows in bands(section, 64 * PIXELS**2):
        window = section.window(PIXELS, rows)
        h, w = window.shape[0] // PIXELS, window.shape[1] // PIXELS
        mean = window.reshape(h, PIXELS, w, PIXELS, 3).mean(axis=(1, 3), dtype=np.float32) / 255
        colours[section.grid.cells(rows)] = mean[section.grid.mask[rows]]
    return colours


@dataclass(frozen=True, eq=False)
class CellTokens:
    """Features and colour of the cells of a section, standardised or raw.

    Parameters
    ----------
    section
        The section, with features and image.
    colours
        From :func:`cell_colours`.
    mean, sd
        (features + 3,) mean that is subtracted from features and colours, and standard deviation that divides them.
    limit
        Absolute value at which tokens are clipped.
    """

    section: Section
    colours: NDArray[np.float32]
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    limit: float = LIMIT

    @classmethod
    def learn(cls, section: Section) -> CellTokens:
        """Standardise by mean and standard deviation over the cells of ``section``."""
        colours = cell_colours(section)
        parts = zip(feature_moments(section), moments(colours, least=LEAST_SD), strict=True)
        mean, sd = (np.concatenate(part).astype(np.float32) for part in parts)
        return cls(section, colours, mean, sd)

    @classmethod
    def raw(cls, section: Section) -> CellTokens:
        """Take features as they are and colours from 0 to 1."""
        width = section.n_features + 3
        return cls(section, cell_colours(section), np.zeros(width, np.float32), np.ones(width, np.float32), np.inf)

    @staticmethod
    def expected(facts: Facts) -> Expected:
        """The learned arrays."""
        yield "mean", Array((facts.features + 3,))
        yield "sd", Array((facts.features + 3,), low=LEAST)

    def __call__(self, rows: slice) -> NDArray[np.float32]:
        """(cells, features + 3) of a band of rows, in id order."""
        raw = np.hstack([self.section.cell_features(rows), self.colours[self.section.grid.cells(rows)]])
        return standardised(raw, self.mean, self.sd, limit=self.limit)

    def gather(self, cells: NDArray[np.int64]) -> NDArray[np.float16]:
        """(n, p, features + 3) tokens of the cells (n, p) of tiles anywhere in the section; 0 where the cell is -1."""
        tokens = np.zeros((*cells.shape, len(self.mean)), dtype=np.float16)
        for rows in bands(self.section, self.section.n_features):
            band = self.section.grid.cells(rows)
            here = (cells >= band.start) & (cells < band.stop)
            tokens[here] = self(rows)[cells[here] - band.start]
        return tokens


@dataclass(frozen=True, eq=False)
class SpotTile:
    """The square of whole cells that a spot's disc fits into: at 8 µm 7 x 7 cells, 37 of them in the disc.

    A spot of another shape is replaced by the disc of the same area.

    Parameters
    ----------
    reach
        Cells between the central one and the border of the square.
    offsets
        (side², 2) row and column of each cell, relative to the first.
    disc
        (side²,) bool, whether the disc covers the centre of a cell.
    """

    reach: int
    offsets: NDArray[np.int64]
    disc: NDArray[np.bool_]

    @classmethod
    def of(cls, section: Section) -> SpotTile:
        """The tile for the spots and the grid of a section."""
        radius = np.sqrt(section.spot_cells / np.pi) + EDGE
        reach = int(radius)
        offsets = square(2 * reach + 1)
        return cls(reach, offsets, ((offsets - reach) ** 2).sum(axis=1) <= radius**2)

    @property
    def side(self) -> int:
        """Cells along a side."""
        return 2 * self.reach + 1

    def corners(self, section: Section) -> NDArray[np.int64]:
        """(spots, 2) row and column of the first cell of each spot's tile, whose central cell holds the spot's centre."""
        return np.floor(section.grid.to_index(section.spots)[:, ::-1]).astype(np.int64) - self.reach


def disc_weights(inside: NDArray[np.bool_], *, faithful: bool) -> NDArray[np.float32]:
    """(n, p) weights of cells in the sums of whole discs; cells not ``inside`` (n, p) the tissue have weight 0.

    1 / p each, so that a disc at the border of the tissue holds less; as published, the mean of the cells inside.
    """
    whole = inside.sum(axis=1, keepdims=True) if faithful else inside.shape[1]
    return (inside / whole).astype(np.float32)


def square(side: int) -> NDArray[np.int64]:
    """(side², 2) row and column of the cells of a square."""
    return np.argwhere(np.ones((side, side)))


def tile_cells(grid: Grid, corners: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """(n, side²) indices of the cells of tiles whose first cell is at ``corners`` (n, 2) as (row, col); -1 off tissue."""
    place = corners[:, None, :] + square(side)
    inside = ((place >= 0) & (place < grid.shape)).all(axis=-1)
    cells = np.full(inside.shape, -1, dtype=np.int64)
    cells[inside] = grid.labels[tuple(place[inside].T)].astype(np.int64) - 1
    return cells


def tiling(shape: tuple[int, int], rows: slice, side: int, shift: int) -> NDArray[np.int64]:
    """(n, 2) first cells of the disjoint tiles that touch a band of rows; tiling starts ``shift`` cells before the grid."""
    start, stop, _ = rows.indices(shape[0])
    down = np.arange((start + shift) // side, -(-(stop + shift) // side))
    across = np.arange(-(-(shape[1] + shift) // side))
    return np.stack(np.meshgrid(down, across, indexing="ij"), axis=-1).reshape(-1, 2) * side - shift
