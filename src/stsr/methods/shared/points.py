"""What the methods that predict at points share: one image vector a point, who sees whom, counts per cell.

The published methods look at crops around spots. Here a point is a spot while learning and a cell while predicting, and
its vector is the mean of the encoder's features over the cells that a crop around it covers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.geometry import Aperture
from stsr.methods.base import Prediction
from stsr.methods.shared.cell_tiles import LIMIT, tile_cells
from stsr.methods.shared.spot_cells import with_nearest
from stsr.methods.shared.spot_sums import BAND_VALUES
from stsr.methods.shared.spot_weights import inverse_distance
from stsr.section import Section

PointValues = Callable[[NDArray[np.float64], NDArray[np.float32]], NDArray[np.floating]]
"""From (points, 2) centres in µm and (points, features) image vectors to (points, genes)."""

MOST = 10.0
"""Largest factor by which a gene's counts are raised: one that is hardly predicted at all stays low."""

DEPTH_SPOTS = 6
"""Spots between whose libraries the depth is interpolated."""


@dataclass(frozen=True, eq=False)
class Crops:
    """Standardised image vectors of points.

    A crop is centred on the cell that holds its point, be it a spot or a cell: what is asked for when predicting looks
    exactly as what was learned from.

    Parameters
    ----------
    section
        The section, with features.
    crop
        What a crop covers.
    mean, sd
        (features,) what is subtracted from and divided out of the vectors.
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
        mean, sd = vectors[covered].mean(axis=0), vectors[covered].std(axis=0)
        return cls(section, crop, mean, np.where(sd > 1e-6, sd, 1))

    @property
    def home(self) -> NDArray[np.int64]:
        """(spots, 2) row and column of the cell that holds each spot."""
        return np.floor(self.section.grid.to_index(self.section.spots)[:, ::-1]).astype(np.int64)

    @property
    def spots(self) -> NDArray[np.float32]:
        """(spots, features) vectors of the spots."""
        return self._standardised(self.home)

    def cells(self, part: slice) -> NDArray[np.float32]:
        """(cells, features) vectors of some of the cells, by position."""
        return self._standardised(self.section.grid.rowcol[part])

    def _standardised(self, rowcol: NDArray[np.int64]) -> NDArray[np.float32]:
        means, covered = self.means(rowcol)
        return np.where(covered[:, None], np.clip((means - self.mean) / self.sd, -LIMIT, LIMIT), 0)

    def means(self, rowcol: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(points, features) means around (points, 2) rows and columns, and (points,) which crops have any tissue."""
        grid = self.section.grid
        around, weights = self._weights(rowcol)
        step = max(1, BAND_VALUES // max(1, self.section.n_features * grid.shape[1]))
        total = np.zeros((len(rowcol), self.section.n_features), dtype=np.float32)
        for start in range(around.start, around.stop, step):
            rows = slice(start, min(start + step, around.stop))
            total += weights[:, grid.cells(rows)] @ self.section.cell_features(rows)
        return total, np.diff(weights.indptr) > 0

    def _weights(self, rowcol: NDArray[np.int64]) -> tuple[slice, sp.csr_array]:
        """Rows that hold the crops, and (points, cells) shares of the cells in each crop."""
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
        """Cells from the middle of a crop to its border, and which cells of the square of that reach it covers."""
        grid = self.section.grid
        reach = int(self.crop.reach / grid.bin_size) + 1
        side = 2 * reach + 1
        colrow = np.argwhere(np.ones((side, side)))[:, ::-1] - reach
        return reach, self.crop.covers(colrow @ grid.affine[:2, :2].T)


def seen_by_spots(tree: cKDTree, count: int) -> NDArray[np.int64]:
    """(spots, 1 + count) who each spot of a tree sees: itself, then the others nearest to it."""
    return with_nearest(tree, count)


def seen_by_points(tree: cKDTree, xy: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(points, 1 + count) who points (points, 2), numbered after the spots, see: themselves, then the nearest spots.

    No point sees another, nor does a spot see one, so that each is predicted as if it were alone.

    Raises
    ------
    ValueError
        For a single spot.
    """
    if tree.n < 2:
        raise ValueError(f"spots={tree.n} are too few to be seen by points between them; use method='nearest'.")
    _, near = tree.query(xy, k=range(1, min(count, tree.n - 1) + 1), workers=-1)
    return np.hstack([tree.n + np.arange(len(xy))[:, None], near])


def seen_by_all(tree: cKDTree, xy: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(spots + points, 1 + count) who the spots of a tree and points (points, 2) see."""
    return np.vstack([seen_by_spots(tree, count), seen_by_points(tree, xy, count)])


def depth(section: Section) -> Callable[[NDArray[np.float64]], NDArray[np.float32]]:
    """From points (points, 2) in µm to the (points,) library of a spot there, interpolated between those around."""
    weigh = inverse_distance(section.spots, neighbours=DEPTH_SPOTS, power=2.0)
    library = section.library.astype(np.float32)
    return lambda xy: weigh(xy) @ library


def gene_factors(section: Section, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
    """(genes,) by how much the predicted counts (spots, genes) fall short of the measured, over all spots.

    A network that is right on average about logs is too low about counts: the mean of logs is below the log of the mean.
    """
    measured = section.counts.sum(axis=0)
    return np.clip(measured / np.maximum(predicted.sum(axis=0), 1e-6), 0, MOST).astype(np.float32)


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
        Cells in a row of ids that see one another. Batches are cut between chunks, so that where a section is cut
        into bands changes nothing. 1 when each cell is predicted as if it were alone.
    batch
        Cells predicted at a time, about.
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
    """Arrays or tensors (n, ...) as (n // size, size, ...), then what is left as (1, rest, ...)."""
    whole = len(arrays[0]) // size * size
    if whole:
        yield tuple(a[:whole].reshape(-1, size, *a.shape[1:]) for a in arrays)
    if whole < len(arrays[0]):
        yield tuple(a[None, whole:] for a in arrays)
