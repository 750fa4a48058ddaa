"""The bins of a Visium HD folder: which sizes there are, read exactly, and summed to coarser ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.constants import ARRAY_COL, ARRAY_ROW, microns
from stsr.geometry import Grid, cell_lookup, grid_of_bins
from stsr.pp._positions import BARCODE, INSIDE, X, Y, in_tissue
from stsr.pp._scale_factors import read_factors
from stsr.pp.counts import read_counts
from stsr.spatial.grid_table import grid_table
from stsr.spatial.section import raw_counts
from stsr.spatial.unreadable import reading

if TYPE_CHECKING:
    from anndata import AnnData

COUNTS = "filtered_feature_bc_matrix.h5"
POSITIONS = "spatial/tissue_positions.parquet"
FACTORS = "spatial/scalefactors_json.json"
"""What is read from each folder of bins."""

INDEX = "__index_level_0__"
"""What Parquet files call an index without a name."""

TOLERANCE = 0.05
"""Relative difference between two statements of µm per pixel that is none."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins of one size, in the order of their grid's cells.

    Parameters
    ----------
    size
        Side in µm.
    grid
        Their grid in full-resolution pixels.
    rowcol
        (bins, 2) row and column on the slide.
    counts
        (bins, genes) raw UMI counts, sparse float32.
    barcodes
        Their names.
    genes
        The vendor's columns on the genes, by symbol.
    """

    size: float
    grid: Grid
    rowcol: NDArray[np.int64]
    counts: sp.csr_array
    barcodes: pd.Index
    genes: pd.DataFrame

    @property
    def name(self) -> str:
        """Name of the table, the vendor's own: ``"square_008um"``."""
        return f"square_{microns(self.size)}"

    def subset(self, keep: NDArray[np.bool_]) -> Bins:
        """These bins without some; (bins,) which to keep."""
        if keep.all():
            return self
        grid = _cut(self.grid, self.grid.rowcol[keep])
        counts = sp.csr_array(self.counts[np.flatnonzero(keep)])
        return Bins(self.size, grid, self.rowcol[keep], counts, self.barcodes[keep], self.genes)

    def pooled(self, size: float) -> Bins:
        """Bins of a whole multiple of this size: sums of these, cut where the vendor cuts them."""
        times = round(size / self.size)
        first = self.rowcol.min(axis=0)
        grid = self.grid.pooled(times, first=(int(first[0]), int(first[1])))
        within = cell_lookup(grid, self.grid.xy)
        ones = np.ones(len(within), dtype=np.float32)
        summing = sp.csr_array((ones, (within, np.arange(len(within)))), shape=(grid.n_cells, len(within)))
        rowcol = grid.rowcol + first // times
        barcodes = pd.Index([f"s_{microns(size)}_{row:05d}_{col:05d}-1" for row, col in rowcol])
        return Bins(size, grid, rowcol, sp.csr_array(summing @ self.counts), barcodes, self.genes)

    def labels(self, dataset_id: str) -> Any:
        """The labels element, in the coordinate system ``dataset_id``."""
        from spatialdata.models import Labels2DModel
        from spatialdata.transformations import Affine

        place = Affine(self.grid.affine, input_axes=("x", "y"), output_axes=("x", "y"))
        return Labels2DModel.parse(self.grid.labels, dims=("y", "x"), transformations={dataset_id: place})

    def table(self, region: str) -> AnnData:
        """The table that annotates the labels ``region``, with the vendor's names and numbers."""
        from anndata.utils import make_index_unique

        genes = self.genes.set_axis(make_index_unique(self.genes.index))
        table = grid_table(sp.csr_matrix(self.counts), genes.index, self.grid, region=region, mpp=1.0)
        table.obs_names, table.var = self.barcodes, genes
        table.obs[[ARRAY_ROW, ARRAY_COL]] = self.rowcol.astype(np.int32)
        return table


def sources(binned: Path, sizes: Sequence[float]) -> dict[float, int]:
    """For each bin size asked for, the one in ``binned_outputs`` to take: itself, or the coarsest that divides it.

    Raises
    ------
    ValueError
        For a size that cannot be had, or none; the message lists those there are.
    """
    named = [re.fullmatch(r"square_([0-9]+)um", path.name) for path in binned.iterdir() if path.is_dir()]
    there = sorted(int(name[1]) for name in named if name)
    known = f"{str(binned)!r} holds {', '.join(map(str, there))} µm"
    if not sizes:
        raise ValueError(f"bin_size is empty; {known}.")
    taken = {}
    for size in sizes:
        fitting = [source for source in there if size > 0 and size % source == 0]
        if not fitting:
            raise ValueError(f"bin_size={size} µm is neither on disk nor a multiple of a size that is; {known}.")
        taken[size] = fitting[-1]
    return taken


def read_bins(binned: Path, size: int) -> Bins:
    """Read the bins of one size from ``binned_outputs``.

    spatialdata-io would read the same files, but it draws a polygon around each bin, millions at 2 µm, and offers
    labels that are half a bin off.

    Raises
    ------
    FileNotFoundError
        When it lacks a file.
    ValueError
        When a file is in an unknown layout, there are no bins, they do not belong to the positions or lie on no grid,
        or the counts are not raw.
    """
    folder = binned / f"square_{microns(size)}"
    for name in (COUNTS, POSITIONS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"path: {str(folder)!r} holds no {name}; pass the folder that Space Ranger made.")
    table = read_counts(folder / COUNTS)
    counts, barcodes, genes = raw_counts(table, name=folder.name), table.obs_names, table.var
    positions = _read_positions(folder / POSITIONS)
    place = positions.index.get_indexer(barcodes)
    if lost := int((place < 0).sum()):
        raise ValueError(
            f"path: {str(folder / COUNTS)!r} has {lost} of {len(place)} bins that {POSITIONS} does not list as in tissue; "
            "take both from the same run."
        )
    positions = positions.iloc[place]
    rowcol = positions[[ARRAY_ROW, ARRAY_COL]].to_numpy(dtype=np.int64)
    try:
        grid, cell = _grid(folder / POSITIONS, rowcol, positions[[X, Y]].to_numpy(dtype=np.float64))
    except ValueError as error:
        raise ValueError(f"path: {str(folder / POSITIONS)!r} does not describe a grid of squares: {error}") from error
    _check_factors(folder / FACTORS, size, grid)
    order = np.argsort(cell)  # the vendor's matrices are in no order of place
    return Bins(size, grid, rowcol[order], counts[order], barcodes[order], genes)


def _grid(file: Path, rowcol: NDArray[np.int64], xy: NDArray[np.float64]) -> tuple[Grid, NDArray[np.int64]]:
    """The grid of the bins in tissue; where these lie on one line, it is that of all bins of the array."""
    if np.linalg.matrix_rank(rowcol - rowcol.mean(axis=0)) == 2:
        return grid_of_bins(rowcol, xy)
    everywhere = _columns(file, [ARRAY_ROW, ARRAY_COL, X, Y]).to_pandas(ignore_metadata=True).to_numpy(dtype=np.float64)
    everywhere = everywhere[np.isfinite(everywhere).all(axis=1)]
    known, place = everywhere[:, :2], everywhere[:, 2:]
    if np.linalg.matrix_rank(known - known.mean(axis=0)) < 2:
        raise ValueError("it lists bins on one line only.")
    whole, _ = grid_of_bins(known.astype(np.int64), place)
    grid = _cut(whole, rowcol - known.min(axis=0).astype(np.int64))
    at = rowcol - rowcol.min(axis=0)
    return grid, grid.labels[at[:, 0], at[:, 1]].astype(np.int64) - 1


def _cut(grid: Grid, kept: NDArray[np.int64]) -> Grid:
    """The part of a grid that holds the cells at these rows and columns (cells, 2), and no others."""
    low, high = kept.min(axis=0), kept.max(axis=0) + 1
    mask = np.zeros(high - low, dtype=bool)
    mask[tuple((kept - low).T)] = True
    shift = np.eye(3)
    shift[:2, 2] = low[::-1]
    return Grid(grid.affine @ shift, mask)


def _columns(file: Path, names: list[str]) -> Any:
    """An Arrow table with columns of the positions; the barcodes may be the index, with its name or without."""
    import pyarrow.parquet as pq

    with reading(file, "a table of positions"):
        there = pq.read_schema(file).names
    barcode = BARCODE if BARCODE in there else INDEX
    stored = [barcode if name == BARCODE else name for name in names]
    if missing := [name for name, known in zip(names, stored, strict=True) if known not in there]:
        raise ValueError(
            f"path: {str(file)!r} is in an unknown layout; the columns {', '.join(missing)} were looked for in it."
        )
    with reading(file, "a table of positions"):
        return pq.read_table(file, columns=stored).rename_columns(names)


def _read_positions(file: Path) -> pd.DataFrame:
    """Places of the bins in tissue, by barcode."""
    numbers = [ARRAY_ROW, ARRAY_COL, X, Y]
    every = _columns(file, [BARCODE, INSIDE, *numbers])
    inside = in_tissue(every.column(INSIDE).to_pandas(), f"path: {str(file)!r}")
    # A slide has 11 million bins of 2 µm: only those in tissue become Python strings.
    table = every.filter(inside).to_pandas(ignore_metadata=True).set_index(BARCODE)
    with reading(file, "a table of positions"):
        places = table[numbers].astype(np.float64)
    if lost := int((~np.isfinite(places.to_numpy())).any(axis=1).sum()):
        raise ValueError(
            f"path: {str(file)!r} gives {lost} bins in tissue no number in {', '.join(numbers)}; export it again."
        )
    if repeated := int(places.index.duplicated().sum()):
        raise ValueError(f"path: {str(file)!r} names {repeated} barcodes twice; take the file that Space Ranger wrote.")
    return places


def _check_factors(file: Path, size: int, grid: Grid) -> None:
    """Hold the bins' pitch in pixels against what the vendor states."""
    factors = read_factors(file)
    if (stated := factors.get("bin_size_um", size)) != size:
        raise ValueError(f"path: {str(file)!r} is of {stated:g} µm bins; give the folder its name back.")
    mpp = size / grid.bin_size
    if abs((stated := factors.get("microns_per_pixel", mpp)) / mpp - 1) > TOLERANCE:
        raise ValueError(
            f"path: {str(file)!r} states {stated:.4g} µm per pixel, but bins of {size} µm are {grid.bin_size:.4g} pixels "
            f"apart, which gives {mpp:.4g}; take both from the same run."
        )
