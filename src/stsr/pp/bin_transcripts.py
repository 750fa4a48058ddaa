"""Transcripts summed into the squares of a grid."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from stsr.arguments import MIN_QV
from stsr.constants import counts_key
from stsr.geometry import Grid, cell_lookup
from stsr.spatial import labels_to_grid, put, record
from stsr.spatial.grid_table import grid_table
from stsr.spatial.points import Piece, choose_genes, find_transcripts
from stsr.spatial.store import check_name
from stsr.spatial.uns import plain_uns

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

NOTE = "transcripts"
"""``uns`` key of a table of binned transcripts: how it was made, and how many were left out."""


def bin_transcripts(
    sdata: SpatialData,
    grid: str,
    *,
    points: str | Sequence[str] | None = None,
    min_qv: float | None = 20,
    feature_key: str | None = None,
    genes: Sequence[str] | None = None,
    key_added: str | None = None,
    overwrite: bool = False,
) -> str:
    """Sum single transcripts into the cells of a grid and add the counts as a table that annotates it.

    Exact to the molecule: each transcript of the genes that reaches the quality and lies in a cell counts once, there.
    Cell segmentations play no part. The transcripts are read a partition at a time, so beside the sparse counts memory
    is needed for one partition only: 20 million of 300 genes into a million cells took 8 s of CPU time and 1.7 GB.

    Works on any points of SpatialData with a gene column that are registered in the section's coordinate system: those
    of Xenium from :func:`stsr.pp.read_xenium`, those of CosMx and MERSCOPE from :func:`stsr.pp.from_transcripts`.

    Parameters
    ----------
    sdata
        A section read by stsr.
    grid
        Labels element with the cells, such as one from :func:`stsr.pp.make_grid`.
    points
        Names of the points elements; by default all that have a gene column (CosMx has one for each field of view).
    min_qv
        Least quality in the column ``qv``; 20 is the vendor's own threshold for Xenium. None counts every transcript.
    feature_key
        Column with the gene; by default the one that the element itself names.
    genes
        Genes to count. By default those of the section's own table where it was binned from transcripts, so that
        columns agree; else all features but those named like controls (negative and blank codewords, ...).
    key_added
        Name of the table; ``"square_008um"`` for cells of 8 µm.
    overwrite
        Replace a table of that name.

    Returns
    -------
    The table's name. Its ``X`` holds the counts, sparse int32; ``uns["transcripts"]`` the number of transcripts
    ``counted``, ``other`` (controls, and genes not asked for), ``low_quality`` and ``outside`` the grid, which add up to
    all there are.

    Raises
    ------
    KeyError
        When ``grid`` or ``points`` is not in ``sdata``; the message lists what is.
    ValueError
        When the gene column or, with ``min_qv``, the quality column is missing, for an unknown gene, when transcripts
        have no coordinates, or when the table exists.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import stsr
    >>> folder = tempfile.TemporaryDirectory()
    >>> image = stsr.datasets.write_xenium_folder(
    ...     folder.name,
    ...     xy=np.random.default_rng(0).uniform(0, 100, (500, 2)),
    ...     features=["UMOD", "NPHS2"] * 250,
    ...     genes=["NPHS2", "UMOD"],
    ...     cells=[[30, 40], [70, 60]],
    ...     image=np.full((224, 224, 3), 230, dtype=np.uint8),
    ...     alignment=np.diag([0.5 / 0.2125, 0.5 / 0.2125, 1]),
    ... )
    >>> sdata = stsr.pp.read_xenium(folder.name, store=f"{folder.name}/section.zarr", dataset_id="toy")
    >>> grid = stsr.pp.make_grid(sdata, bin_size=8, tissue="toy_square_016um")
    >>> stsr.pp.bin_transcripts(sdata, grid)
    'square_008um'
    >>> int(sdata["square_008um"].X.sum())
    500
    """
    facts = record(sdata)
    min_qv = MIN_QV("min_qv", min_qv)
    cells = labels_to_grid(sdata, grid)
    key = key_added or counts_key(cells.bin_size)
    check_name(sdata, "tables", key, overwrite)
    transcripts = find_transcripts(sdata, points, feature_key=feature_key, min_qv=min_qv)
    own = _own_genes(sdata) if genes is None else None
    names = own or choose_genes(transcripts, genes)

    counts, tally = _count((p for element in transcripts for p in element.pieces(names, min_qv)), cells, len(names))
    table = grid_table(sp.csr_matrix(counts), names, cells, region=grid, mpp=facts.mpp)
    quality = {} if min_qv is None else {"min_qv": float(min_qv)}
    table.uns[NOTE] = plain_uns({"points": [element.name for element in transcripts], **quality, **tally})
    put(sdata, key, table, overwrite=overwrite)
    logger.info(
        "%s: %d transcripts of %d genes in %d squares; left out are %d of controls and other features, %d of low "
        "quality, %d outside the grid.",
        key,
        tally["counted"],
        len(names),
        cells.n_cells,
        tally["other"],
        tally["low_quality"],
        tally["outside"],
    )
    return key


def _own_genes(sdata: SpatialData) -> list[str] | None:
    """The genes of the section's own table, where it was binned from transcripts."""
    table = sdata.tables.get(record(sdata).table)
    return None if table is None or NOTE not in table.uns else list(table.var_names)


def _count(pieces: Iterable[Piece], grid: Grid, n_genes: int) -> tuple[sp.csr_array, dict[str, int]]:
    """(cells, genes) int32 counts, and what became of the transcripts."""
    tally = dict.fromkeys(("counted", "other", "low_quality", "outside"), 0)
    parts = [sp.csr_array((grid.n_cells, n_genes), dtype=np.int32)]
    for piece in pieces:
        gene = piece.gene >= 0
        kept = gene & piece.good
        cell, column = cell_lookup(grid, piece.xy[kept]), piece.gene[kept]
        inside = cell >= 0
        ones = np.ones(inside.sum(), dtype=np.int32)
        _add(parts, sp.csr_array((ones, (cell[inside], column[inside])), shape=(grid.n_cells, n_genes)))
        tally["counted"] += len(ones)
        tally["other"] += int((~gene).sum())
        tally["low_quality"] += int((gene & ~piece.good).sum())
        tally["outside"] += int((~inside).sum())
    return sum(parts[1:], start=parts[0]), tally


def _add(parts: list[sp.csr_array], part: sp.csr_array) -> None:
    """Keep a sum in parts that shrink by half or more: an entry is added up a few times, not once for each part."""
    while parts and parts[-1].nnz < 2 * part.nnz:
        part = part + parts.pop()
    parts.append(part)
