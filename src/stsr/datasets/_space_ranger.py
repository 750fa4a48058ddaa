"""Files that every folder of Space Ranger holds: the matrix, the scale factors and the images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

FIDUCIAL_CONVENTION = 105.0
"""µm that the vendor's scale factors take fiducials to measure."""


def ensembl_like(genes: Sequence[str]) -> list[str]:
    """A stable identifier for each gene, by its number."""
    return [f"ENSG{number:011d}" for number in range(1, len(genes) + 1)]


def write_matrix(
    path: Path,
    matrix: sp.csr_array,
    barcodes: Sequence[str],
    gene_ids: Sequence[str],
    genes: Sequence[str],
    *,
    chemistry: str,
    version: str,
) -> None:
    """The vendor's HDF5 matrix: genes x spots by columns, which is spots x genes by rows."""
    import h5py

    matrix.sort_indices()
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {
                "chemistry_description": chemistry,
                "filetype": "matrix",
                "library_ids": np.array([b"stsr"]),
                "original_gem_groups": np.array([1]),
                "software_version": f"spaceranger-{version}",
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


def write_tiff(path: Path, image: NDArray[np.uint8], mpp: float) -> None:
    """The full-resolution image (height, width, 3), with its resolution in the tags."""
    import tifffile

    tifffile.imwrite(
        path,
        image,
        photometric="rgb",
        tile=(256, 256),
        compression="deflate",
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
    )


def write_spatial(folder: Path, image: NDArray[np.uint8], sides: dict[str, int], factors: dict[str, float]) -> None:
    """``scalefactors_json.json`` and the reduced images, whose longer sides are given in pixels by their names."""
    from PIL import Image

    height, width = image.shape[:2]
    scale = {name: min(1.0, side / max(height, width)) for name, side in sides.items()}
    factors = factors | {f"tissue_{name}_scalef": factor for name, factor in scale.items()}
    (folder / "scalefactors_json.json").write_text(json.dumps(factors))
    for name, factor in scale.items():
        size = max(1, round(width * factor)), max(1, round(height * factor))
        Image.fromarray(image).resize(size, Image.Resampling.BOX).save(folder / f"tissue_{name}_image.png")
