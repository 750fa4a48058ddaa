"""Folders as the vendors' software leaves them, from arrays: for tests, demonstrations and simulations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from stsr.datasets._space_ranger import FIDUCIAL_CONVENTION, ensembl_like, write_matrix, write_spatial, write_tiff

SPOT_CONVENTION = 65.0
"""µm that the vendor's scale factors take a spot to measure; the printed spot has 55."""

REDUCED = {"hires": 2000, "lowres": 600}
"""Longer side in pixels of the reduced images."""


def write_visium_folder(
    path: str | os.PathLike[str],
    *,
    counts: ArrayLike | sp.sparray,
    genes: Sequence[str],
    xy: ArrayLike,
    array_rowcol: ArrayLike,
    image: NDArray[np.uint8],
    mpp: float,
    in_tissue: ArrayLike | None = None,
    gene_ids: Sequence[str] | None = None,
    space_ranger: int = 2,
) -> Path:
    """Write a Visium folder in the layout of Space Ranger's ``outs``.

    Parameters
    ----------
    path
        The folder; made when it is not there.
    counts
        (spots, genes) whole numbers, dense or sparse.
    genes
        Gene symbols; may repeat, as the vendor's do.
    xy
        (spots, 2) spot centres (x, y) in pixels of ``image``.
    array_rowcol
        (spots, 2) row and column of the spots on the slide.
    image
        (height, width, 3) uint8, the full-resolution H&E.
    mpp
        µm per pixel of ``image``.
    in_tissue
        (spots,) bool; spots outside tissue are listed but have no counts in the filtered matrix. All inside when None.
    gene_ids
        Stable gene identifiers; numbered Ensembl-like ones when None.
    space_ranger
        Major version; below 2 the positions are in the old file without a header, rounded to whole pixels.

    Returns
    -------
    Path of the full-resolution TIFF, ``he.tif`` in the folder.

    Raises
    ------
    ValueError
        When the arrays do not belong together.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from stsr.datasets import write_visium_folder
    >>> rowcol = np.array([[0, 0], [0, 2], [1, 1]])
    >>> image = np.full((200, 300, 3), 230, dtype=np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tiff = write_visium_folder(
    ...         folder,
    ...         counts=[[1, 0], [3, 2], [0, 5]],
    ...         genes=["UMOD", "NPHS2"],
    ...         xy=rowcol[:, ::-1] * (25, 43.3) + 50,
    ...         array_rowcol=rowcol,
    ...         image=image,
    ...         mpp=2.0,
    ...     )
    >>> tiff.name
    'he.tif'
    """
    folder = Path(path)
    matrix = sp.csr_array(counts)
    xy, array_rowcol = np.asarray(xy, dtype=np.float64), np.asarray(array_rowcol, dtype=np.int64)
    inside = np.ones(len(xy), dtype=bool) if in_tissue is None else np.asarray(in_tissue, dtype=bool)
    gene_ids = ensembl_like(genes) if gene_ids is None else gene_ids
    if matrix.shape != (len(xy), len(genes)):
        raise ValueError(f"counts must be (spots, genes) = {(len(xy), len(genes))}, got {matrix.shape}.")
    if array_rowcol.shape != xy.shape or len(inside) != len(xy) or len(gene_ids) != len(genes):
        raise ValueError("array_rowcol and in_tissue must have one row per spot, gene_ids one entry per gene.")

    (folder / "spatial").mkdir(parents=True, exist_ok=True)
    barcodes = [_barcode(number) for number in range(len(xy))]
    kept = np.flatnonzero(inside)
    write_matrix(
        folder / "filtered_feature_bc_matrix.h5",
        matrix[kept],
        [barcodes[spot] for spot in kept],
        gene_ids,
        genes,
        chemistry="Visium V1",
        version="2.1.0",
    )
    _write_positions(folder / "spatial", barcodes, inside, array_rowcol, xy, space_ranger)
    factors = {
        "spot_diameter_fullres": SPOT_CONVENTION / mpp,
        "fiducial_diameter_fullres": FIDUCIAL_CONVENTION / mpp,
    }
    write_spatial(folder / "spatial", image, REDUCED, factors)
    write_tiff(folder / "he.tif", image, mpp)
    return folder / "he.tif"


def _barcode(number: int) -> str:
    """A 16-letter barcode for a spot: its number in base 4."""
    return "".join("ACGT"[number // 4**place % 4] for place in range(16)) + "-1"


def _write_positions(
    folder: Path,
    barcodes: Sequence[str],
    inside: NDArray[np.bool_],
    array_rowcol: NDArray[np.int64],
    xy: NDArray[np.float64],
    space_ranger: int,
) -> None:
    import pandas as pd

    old = space_ranger < 2
    pixels = np.rint(xy).astype(np.int64) if old else xy
    table = pd.DataFrame(
        {
            "barcode": barcodes,
            "in_tissue": inside.astype(int),
            "array_row": array_rowcol[:, 0],
            "array_col": array_rowcol[:, 1],
            "pxl_row_in_fullres": pixels[:, 1],
            "pxl_col_in_fullres": pixels[:, 0],
        }
    )
    table.to_csv(folder / f"tissue_positions{'_list' * old}.csv", header=not old, index=False)
