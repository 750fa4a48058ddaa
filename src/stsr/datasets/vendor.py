"""Folders as the vendors' software leaves them, from arrays: for tests, demonstrations and simulations."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

SPOT_CONVENTION, FIDUCIAL_CONVENTION = 65.0, 105.0
"""µm that the vendor's scale factors take spots and fiducials to measure; the printed spot has 55."""

HIRES, LOWRES = 2000, 600
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
    gene_ids = [f"ENSG{number:011d}" for number in range(1, len(genes) + 1)] if gene_ids is None else gene_ids
    if matrix.shape != (len(xy), len(genes)):
        raise ValueError(f"counts must be (spots, genes) = {(len(xy), len(genes))}, got {matrix.shape}.")
    if array_rowcol.shape != xy.shape or len(inside) != len(xy) or len(gene_ids) != len(genes):
        raise ValueError("array_rowcol and in_tissue must have one row per spot, gene_ids one entry per gene.")

    (folder / "spatial").mkdir(parents=True, exist_ok=True)
    barcodes = [_barcode(number) for number in range(len(xy))]
    kept = np.flatnonzero(inside)
    _write_matrix(
        folder / "filtered_feature_bc_matrix.h5", matrix[kept], [barcodes[spot] for spot in kept], gene_ids, genes
    )
    _write_positions(folder / "spatial", barcodes, inside, array_rowcol, xy, space_ranger)
    scale = {name: min(1.0, side / max(image.shape[:2])) for name, side in (("hires", HIRES), ("lowres", LOWRES))}
    factors = {
        "spot_diameter_fullres": SPOT_CONVENTION / mpp,
        "tissue_hires_scalef": scale["hires"],
        "fiducial_diameter_fullres": FIDUCIAL_CONVENTION / mpp,
        "tissue_lowres_scalef": scale["lowres"],
    }
    (folder / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))
    _write_images(folder, image, mpp, scale)
    return folder / "he.tif"


def _barcode(number: int) -> str:
    """A 16-letter barcode for a spot: its number in base 4."""
    return "".join("ACGT"[number // 4**place % 4] for place in range(16)) + "-1"


def _write_matrix(
    path: Path, matrix: sp.csr_array, barcodes: Sequence[str], gene_ids: Sequence[str], genes: Sequence[str]
) -> None:
    """The vendor's HDF5 matrix: genes x spots by columns, which is spots x genes by rows."""
    import h5py

    matrix.sort_indices()
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {
                "chemistry_description": "Visium V1",
                "filetype": "matrix",
                "library_ids": np.array([b"stsr"]),
                "original_gem_groups": np.array([1]),
                "software_version": "spaceranger-2.1.0",
                "version": 2,
            }
        )
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, dtype="S")
        group["data"] = matrix.data.astype(np.int32)
        group["indices"] = matrix.indices.astype(np.int64)
        group["indptr"] = matrix.indptr.astype(np.int64)
        group["shape"] = np.array([len(genes), len(barcodes)], dtype=np.int32)
        features = group.create_group("features")
        features["_all_tag_keys"] = np.array([b"genome"])
        features["feature_type"] = np.array([b"Gene Expression"] * len(genes))
        features["genome"] = np.array([b"synthetic"] * len(genes))
        features["id"] = np.array(gene_ids, dtype="S")
        features["name"] = np.array(genes, dtype="S")


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


def _write_images(folder: Path, image: NDArray[np.uint8], mpp: float, scale: dict[str, float]) -> None:
    """The full-resolution TIFF with its resolution tags, and the reduced PNGs."""
    import tifffile
    from PIL import Image

    tifffile.imwrite(
        folder / "he.tif",
        image,
        photometric="rgb",
        tile=(256, 256),
        compression="deflate",
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
    )
    height, width = image.shape[:2]
    for name, factor in scale.items():
        size = max(1, round(width * factor)), max(1, round(height * factor))
        Image.fromarray(image).resize(size, Image.Resampling.BOX).save(folder / "spatial" / f"tissue_{name}_image.png")
