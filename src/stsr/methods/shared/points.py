"""Parts of the methods that predict at points: image vectors, neighbour index, counts per cell.

The published methods use image crops around spots. Here a point is a spot in training and a cell in prediction, and its
image vector is the mean of the encoder's features over the cells in a crop around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.geometry import Aperture
from stsr.methods.base import Prediction
from stsr.methods.shared.cell_tiles import LIMIT, tile_cells
from stsr.methods.shared.spot_sums import BAND_VALUES
from stsr.methods.shared.spot_weights import inverse_distance
from stsr.methods.shared.standardise import moments, standardised
from stsr.methods.shared.targets import gene_factor
from stsr.section import Section

PointValues = Callable[[NDArray[np.float64], NDArray[np.float32]], NDArray[np.floating]]
"""From (points, 2) centres in µm and (points, features) image vectors to (points, genes)."""

MAX_FACTOR = 10.0
"""Largest factor on the counts of a gene, so that a gene with hardly any predicted counts stays low."""

LIBRARY_SPOTS = 6
"""Nearest spots from which the library size at a point is interpolated."""

LIBRARY_POWER = 2.0
"""Exponent of the distance in this interpolation."""


@dataclass(frozen=True, eq=False)
class Crops:
    """Standardised image vectors of points.

    A crop is centred on the cell that holds its point, for spots as for cells, so that training and prediction have the
    same input.

    Parameters
    ----------
    section
        The section, with features.
    crop
        Shape of a crop.
    mean, sd
        (features,) mean that is subtracted from vectors, and standard deviation that divides them.
    """

    section: Section
    crop: Aperture
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]

    @classmethod
    def learn(cls, section: Section, crop: Aperture) -> Crops:
        """Standardise by the crops around the spots of ``section``."""
        width = section.n_features
        raw = cls(section, crop, np.zeros(width, np.float32), np.ones(width, np.float32))
        vectors, covered = raw.means(raw.home)
        return cls(section, crop, *moments(vectors[covered]))

    @property
    def home(self) -> NDArray[np.int64]:
        """(spots, 2) row and column of the cell that holds each spot."""
        return np.floor(self.section.grid.to_index(self.section.spots)[:, ::-1]).astype(np.int64)

    @property
    def spots(self) -> NDArray[np.float32]:
        """(spots, features) vectors of the spots."""
        return self._standardised(self.home)

    def cells(self, part: slice) -> NDArray[np.float32]:
        """(cells, features) vectors of a range of cells, by index."""
        return self._standardised(self.section.grid.rowcol[part])

    def _standardised(self, rowcol: NDArray[np.int64]) -> NDArray[np.float32]:
        means, covered = self.means(rowcol)
        return np.where(covered[:, None], standardised(means, self.mean, self.sd, limit=LIMIT), 0)

    def means(self, rowcol: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(points, features) means around (points, 2) rows and columns, and (points,) whether a crop has any tissue."""
        grid = self.section.grid
        around, weights = self._weights(rowcol)
        step = max(1, BAND_VALUES // max(1, self.section.n_features * grid.shape[1]))
        total = np.zeros((len(rowcol), self.section.n_features), dtype=np.float32)
        for start in range(around.start, around.stop, step):
            rows = slice(start, min(start + step, around.stop))
            total += weights[:, grid.cells(rows)] @ self.section.cell_features(rows)
        return total, np.diff(weights.indptr) > 0

    def _weights(self, rowcol: NDArray[np.int64]) -> tuple[slice, sp.csr_array]:
        """Grid rows that hold the crops, and (points, cells) weights of the cells in the mean of each crop."""
        grid = self.section.grid
        reach, covered = self._shape
        cells = tile_cells(grid, rowcol - reach, 2 * reach + 1)[:, covered]
        point, slot = np.nonzero(cells >= 0)
        number = np.bincount(point, minlength=len(cells))
        share = np.repeat(1 / np.maximum(number, 1), number).astype(np.float32)
        starts = np.concatenate([[0], np.cumsum(number)])
        low, high = rowcol[:, 0].min() - reach, rowcol[:, 0].max() + reach + 1
        rows = slice(int(max(low, 0)), int(min(high, grid.shape[0])))
        return rows, sp.csr_array((share, cells[point, slot], starts), shape=(len(cells), grid.n_cells))

    @cached_property
    def _shape(self) -> tuple[int, NDArray[np.bool_]]:
        """Cells from the centre of a crop to its border, and which cells of the square with that half side it covers."""
        grid = self.section.grid
        reach = int(self.crop.reach / grid.bin_size) + 1
        side = 2 * reach + 1
        colrow = np.argwhere(np.ones((side, side)))[:, ::-1] - reach
        return reach, self.crop.covers(colrow @ grid.affine[:2, :2].T)


def library_size(section: Section) -> Callable[[NDArray[np.float64]], NDArray[np.float32]]:
    """From points (points, 2) in µm to the (points,) library size of a spot there, interpolated from the spots around."""
    weigh = inverse_distance(section.spots, neighbours=LIBRARY_SPOTS, power=LIBRARY_POWER)
    library = section.library.astype(np.float32)
    return lambda xy: weigh(xy) @ library


def gene_factors(section: Section, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
    """(genes,) measured over predicted counts (spots, genes), both summed over spots.

    Networks trained on logarithms underestimate counts, because E[log y] ≤ log E[y] (Jensen's inequality).
    """
    measured = section.counts.sum(axis=0)
    return gene_factor(measured, predicted.sum(axis=0), most=MAX_FACTOR).astype(np.float32)


@dataclass(frozen=True, eq=False)
class PointPredictor:
    """Predicts cells as points, a batch at a time.

    Parameters
    ----------
    crops
        Vectors of the cells.
    counts
        From (cells, 2) centres in µm and (cells, features) vectors to (cells, genes) counts of a spot centred there.
    chunk
        Number of cells with successive ids that attend to one another; 1 when cells are predicted independently. Batches
        begin and end between chunks, so predictions do not depend on how a section is divided into bands.
    batch
        Approximate number of cells predicted at a time.
    """

    crops: Crops
    counts: PointValues
    chunk: int
    batch: int

    def __call__(self, rows: slice) -> Prediction:
        """Predict a band of rows."""
        section = self.crops.section
        cells, size = section.grid.cells(rows), self.chunk
        first, last = cells.start // size * size, min(-(-cells.stop // size) * size, section.grid.n_cells)
        mean = np.empty((last - first, len(section.genes)), dtype=np.float32)
        step = max(1, self.batch // size) * size
        for start in range(first, last, step):
            part = slice(start, min(start + step, last))
            mean[part.start - first : part.stop - first] = self.counts(section.grid.xy[part], self.crops.cells(part))
        mean /= section.spot_cells
        return Prediction(mean=mean[cells.start - first : cells.stop - first])


def in_chunks(size: int, *arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Arrays or tensors (n, ...) as (n // size, size, ...), then the rest as (1, rest, ...)."""
    whole = len(arrays[0]) // size * size
    if whole:
        yield tuple(a[:whole].reshape(-1, size, *a.shape[1:]) for a in arrays)
    if whole < len(arrays[0]):
        yield tuple(a[None, whole:] for a in arrays)
