"""The bins of a Visium HD folder: which sizes there are, read exactly, and summed to coarser ones."""

from __future__ import annotations

import json
import warnings
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
from stsr.spatial.grid_table import grid_table
from stsr.spatial.section import raw_counts

if TYPE_CHECKING:
    from anndata import AnnData

COUNTS = "filtered_feature_bc_matrix.h5"
POSITIONS = "spatial/tissue_positions.parquet"
FACTORS = "spatial/scalefactors_json.json"
"""What is read from each folder of bins."""

BARCODE, INSIDE, X, Y = "barcode", "in_tissue", "pxl_col_in_fullres", "pxl_row_in_fullres"
"""Columns of the positions, beside ``array_row`` and ``array_col``."""

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
        What the vendor tells of the genes, by symbol.
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
    there = sorted(int(path.name[len("square_") : -len("um")]) for path in binned.glob("square_[0-9]*um"))
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
    for name in (COUNTS, POSITIONS, FACTORS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"path: {str(folder)!r} holds no {name}; pass the folder that Space Ranger made.")
    counts, barcodes, genes = _read_counts(folder / COUNTS)
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
        grid, cell = grid_of_bins(rowcol, positions[[X, Y]].to_numpy(dtype=np.float64))
    except ValueError as error:
        raise ValueError(f"path: {str(folder / POSITIONS)!r} does not describe a grid of squares: {error}") from error
    _check_factors(folder / FACTORS, size, grid)
    order = np.argsort(cell)  # the vendor's matrices are in no order of place
    return Bins(size, grid, rowcol[order], counts[order], barcodes[order], genes)


def _read_counts(path: Path) -> tuple[sp.csr_array, pd.Index, pd.DataFrame]:
    """(bins, genes) counts, the barcodes, and the genes by symbol."""
    import h5py
    from scanpy import read_10x_h5

    with h5py.File(path) as file:
        if "matrix/barcodes" not in file:
            raise ValueError(f"path: {str(path)!r} is in an unknown layout; matrix/barcodes was looked for in it.")
        if not len(file["matrix/barcodes"]) or not len(file["matrix/data"]):
            raise ValueError(f"path: {str(path)!r} holds no bins with counts; choose another bin_size.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        table = read_10x_h5(path)
    return raw_counts(table, name=path.parent.name), table.obs_names, table.var


def _read_positions(path: Path) -> pd.DataFrame:
    """Places of the bins in tissue, by barcode."""
    import pyarrow.parquet as pq

    wanted = [BARCODE, INSIDE, ARRAY_ROW, ARRAY_COL, X, Y]
    if missing := [column for column in wanted if column not in pq.read_schema(path).names]:
        raise ValueError(
            f"path: {str(path)!r} is in an unknown layout; the columns {', '.join(missing)} were looked for in it."
        )
    # A slide has 11 million bins of 2 µm: only those in tissue become Python strings.
    return pd.read_parquet(path, columns=wanted, filters=[(INSIDE, "==", 1)]).set_index(BARCODE)


def _check_factors(path: Path, size: int, grid: Grid) -> None:
    """Hold the bins' pitch in pixels against what the vendor states."""
    factors = json.loads(path.read_text())
    if (stated := factors.get("bin_size_um", size)) != size:
        raise ValueError(f"path: {str(path)!r} is of {stated:g} µm bins; give the folder its name back.")
    mpp = size / grid.bin_size
    if abs((stated := factors.get("microns_per_pixel", mpp)) / mpp - 1) > TOLERANCE:
        raise ValueError(
            f"path: {str(path)!r} states {stated:.4g} µm per pixel, but bins of {size} µm are {grid.bin_size:.4g} pixels "
            f"apart, which gives {mpp:.4g}; take both from the same run."
        )
