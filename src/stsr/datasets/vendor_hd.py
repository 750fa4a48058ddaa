"""Visium HD folders as Space Ranger leaves them, from arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from stsr.datasets._space_ranger import FIDUCIAL_CONVENTION, ensembl_like, write_matrix, write_spatial, write_tiff

REDUCED = {"hires": 6000, "lowres": 600}
"""Longer side in pixels of the reduced images."""

VERSIONS = {3: "3.1.2", 4: "4.0.1"}
"""Full version numbers that the files state."""


def write_visium_hd_folder(
    path: str | os.PathLike[str],
    *,
    counts: ArrayLike | sp.sparray,
    genes: Sequence[str],
    array_rowcol: ArrayLike,
    image: NDArray[np.uint8],
    mpp: float,
    bin_sizes: Sequence[int] = (2, 8, 16),
    centre: tuple[float, float] | None = None,
    angle: float = 0.0,
    flipped: bool = False,
    gene_ids: Sequence[str] | None = None,
    space_ranger: int = 3,
) -> Path:
    """Write a Visium HD folder in the layout of Space Ranger's ``outs``.

    The bins that are given are on tissue; positions are written for every bin of the array. Coarser bins are sums of
    the given ones, with rows and columns counted from the array's corner. As in real folders, the barcodes of a matrix
    are in no order of place.

    Parameters
    ----------
    path
        The folder; made when it is not there.
    counts
        (bins, genes) whole numbers of the finest bins, dense or sparse.
    genes
        Gene symbols; may repeat, as the vendor's do.
    array_rowcol
        (bins, 2) row and column of the finest bins in the array, which ends with the last of them.
    image
        (height, width, 3) uint8, the full-resolution H&E.
    mpp
        µm per pixel of ``image``.
    bin_sizes
        Bins to write, in µm; all are multiples of the finest.
    centre
        Where the array's centre lies in the image, as (x, y) in pixels; in the image's centre when None.
    angle
        Rotation of the array against the image in degrees, clockwise as seen in the image.
    flipped
        Columns run to the left before the rotation, as they do on many real slides.
    gene_ids
        Stable gene identifiers; numbered Ensembl-like ones when None.
    space_ranger
        Major version, 3 or 4; the latter adds ``segmented_outputs/``, whose cells are the coarsest bins.

    Returns
    -------
    Path of the full-resolution TIFF, ``microscope_image/he.tif`` in the folder.

    Raises
    ------
    ValueError
        When the arrays do not belong together, for bin sizes that are no multiples of the finest, or for an unknown
        version.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from stsr.datasets import write_visium_hd_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tiff = write_visium_hd_folder(
    ...         folder,
    ...         counts=np.ones((64, 2), dtype=int),
    ...         genes=["UMOD", "NPHS2"],
    ...         array_rowcol=np.argwhere(np.ones((8, 8))),
    ...         image=np.full((60, 80, 3), 230, dtype=np.uint8),
    ...         mpp=0.5,
    ...         angle=2.0,
    ...     )
    ...     print(sorted(path.name for path in Path(folder, "binned_outputs").iterdir()))
    ['square_002um', 'square_008um', 'square_016um']
    """
    folder, sizes = Path(path), sorted(bin_sizes)
    matrix, array_rowcol = sp.csr_array(counts), np.asarray(array_rowcol, dtype=np.int64)
    gene_ids = ensembl_like(genes) if gene_ids is None else gene_ids
    if matrix.shape != (len(array_rowcol), len(genes)):
        raise ValueError(f"counts must be (bins, genes) = {(len(array_rowcol), len(genes))}, got {matrix.shape}.")
    if len(gene_ids) != len(genes):
        raise ValueError(f"gene_ids must have one entry per gene, {len(genes)}, got {len(gene_ids)}.")
    if any(size % sizes[0] for size in sizes):
        raise ValueError(f"bin_sizes={tuple(bin_sizes)} must be multiples of the finest, {sizes[0]} µm.")
    if space_ranger not in VERSIONS:
        raise ValueError(f"space_ranger={space_ranger} is unknown; choose 3 or 4.")

    extent = (array_rowcol.max(axis=0)[::-1] + 1) * sizes[0]
    middle = np.array((image.shape[1] / 2, image.shape[0] / 2) if centre is None else centre)
    slide = _Slide(
        rowcol=array_rowcol,
        matrix=matrix,
        finest=sizes[0],
        genes=genes,
        gene_ids=gene_ids,
        to_pixel=_placement(extent, middle, mpp, angle, flipped),
        image=image,
        mpp=mpp,
        version=VERSIONS[space_ranger],
    )
    for size in sizes:
        slide.write_bins(folder / "binned_outputs" / f"square_{size:03d}um", size)
    if space_ranger == 4:
        slide.write_cells(folder / "segmented_outputs", sizes[-1])
    slide.write_spatial(folder)
    slide.write_feature_slice(folder / "feature_slice.h5")
    (folder / "microscope_image").mkdir(exist_ok=True)
    write_tiff(folder / "microscope_image" / "he.tif", image, mpp)
    return folder / "microscope_image" / "he.tif"


def _placement(
    extent: NDArray[np.int64], middle: NDArray[np.float64], mpp: float, angle: float, flipped: bool
) -> NDArray[np.float64]:
    """(3, 3) matrix from µm on the array, which is ``extent`` (x, y) wide, to pixels of the image."""
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    axes = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1 if flipped else 1, 1]) / mpp
    return np.vstack([np.column_stack([axes, middle - axes @ (extent / 2)]), [0, 0, 1]])


def _barcodes(rowcol: NDArray[np.int64], size: int) -> list[str]:
    return [f"s_{size:03d}um_{row:05d}_{col:05d}-1" for row, col in rowcol]


@dataclass(frozen=True, eq=False)
class _Slide:
    """What was measured: the finest bins and their counts, where the array lies in the image, and the image."""

    rowcol: NDArray[np.int64]
    matrix: sp.csr_array
    finest: int
    genes: Sequence[str]
    gene_ids: Sequence[str]
    to_pixel: NDArray[np.float64]
    image: NDArray[np.uint8]
    mpp: float
    version: str

    def write_bins(self, folder: Path, size: int) -> None:
        """One folder of ``binned_outputs``."""
        bins, sums = self.pool(size)
        self.write_spatial(folder, spot_diameter_fullres=size / self.mpp, bin_size_um=float(size))
        self.write_matrix(folder / "filtered_feature_bc_matrix.h5", sums, _barcodes(bins, size))
        self.write_positions(folder / "spatial" / "tissue_positions.parquet", bins, size)

    def write_cells(self, folder: Path, size: int) -> None:
        """Outlines and counts of cells, for which bins stand."""
        bins, sums = self.pool(size)
        numbers = range(1, len(bins) + 1)
        self.write_spatial(folder)
        self.write_matrix(
            folder / "filtered_feature_cell_matrix.h5", sums, [f"cellid_{number:09d}-1" for number in numbers]
        )
        square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
        outlines = self.pixels((bins[:, None, ::-1] + square) * size)
        cells = [
            {
                "type": "Feature",
                "properties": {"cell_id": number},
                "geometry": {"type": "Polygon", "coordinates": [outline.tolist()]},
            }
            for number, outline in zip(numbers, outlines, strict=True)
        ]
        collection = {"type": "FeatureCollection", "features": cells}
        (folder / "cell_segmentations.geojson").write_text(json.dumps(collection))

    def pool(self, size: int) -> tuple[NDArray[np.int64], sp.csr_array]:
        """(bins, 2) rows and columns of bins of a size, in no order of place, and their counts."""
        bins, member = np.unique(self.rowcol // (size // self.finest), axis=0, return_inverse=True)
        order = np.random.default_rng(0).permutation(len(bins))
        ones = np.ones(len(member), dtype=np.int64)
        summing = sp.csr_array((ones, (member, np.arange(len(member)))), shape=(len(bins), len(member)))
        return bins[order], sp.csr_array((summing @ self.matrix)[order])

    def pixels(self, um: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 2) in µm on the array as pixels (x, y)."""
        return np.asarray(um) @ self.to_pixel[:2, :2].T + self.to_pixel[:2, 2]

    def write_matrix(self, path: Path, matrix: sp.csr_array, barcodes: Sequence[str]) -> None:
        """A matrix with the names of its rows."""
        write_matrix(path, matrix, barcodes, self.gene_ids, self.genes, chemistry="Visium HD v1", version=self.version)

    def write_positions(self, path: Path, bins: NDArray[np.int64], size: int) -> None:
        """Places of all bins of the array, row by row."""
        import pandas as pd

        inside = np.zeros(-(-(self.rowcol.max(axis=0) + 1) // (size // self.finest)), dtype=np.int64)
        inside[tuple(bins.T)] = 1
        rowcol = np.argwhere(inside >= 0)
        xy = self.pixels((rowcol[:, ::-1] + 0.5) * size)
        pd.DataFrame(
            {
                "barcode": _barcodes(rowcol, size),
                "in_tissue": inside.ravel(),
                "array_row": rowcol[:, 0].astype(np.int32),
                "array_col": rowcol[:, 1].astype(np.int32),
                "pxl_row_in_fullres": xy[:, 1],
                "pxl_col_in_fullres": xy[:, 0],
            }
        ).to_parquet(path)

    def write_spatial(self, folder: Path, **factors: float) -> None:
        """The folder ``spatial`` in another: reduced images and scale factors."""
        (folder / "spatial").mkdir(parents=True, exist_ok=True)
        always = {"fiducial_diameter_fullres": FIDUCIAL_CONVENTION / self.mpp, "microns_per_pixel": self.mpp}
        write_spatial(folder / "spatial", self.image, REDUCED, always | factors)

    def write_feature_slice(self, path: Path) -> None:
        """The file that states the layout's version and the transformations; its images are left out."""
        import h5py

        to_microscope = self.to_pixel @ np.diag([self.finest, self.finest, 1.0])
        nothing = np.eye(3).ravel().tolist()
        metadata = {
            "hd_layout_json": json.dumps({"transform": nothing, "file_format": "1.0"}),
            "transform_matrices": {
                "cytassist_colrow_to_spot_colrow": nothing,
                "spot_colrow_to_cytassist_colrow": nothing,
                "microscope_colrow_to_spot_colrow": np.linalg.inv(to_microscope).ravel().tolist(),
                "spot_colrow_to_microscope_colrow": to_microscope.ravel().tolist(),
            },
        }
        with h5py.File(path, "w") as file:
            file.attrs["metadata_json"] = json.dumps(metadata)
