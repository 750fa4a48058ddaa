"""Xenium folders as the instrument leaves them, from arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from stsr.datasets._space_ranger import ensembl_like, write_matrix

CELL, NUCLEUS = 6.0, 3.0
"""Radii in µm of the discs that stand for cells and their nuclei."""

GOOD = 20
"""Quality from which the vendor counts a transcript."""

CORNERS = 16
"""Of the polygon that outlines a disc."""


def write_xenium_folder(
    path: str | os.PathLike[str],
    *,
    xy: ArrayLike,
    features: Sequence[str],
    genes: Sequence[str],
    cells: ArrayLike,
    image: NDArray[np.uint8],
    alignment: ArrayLike,
    quality: ArrayLike | None = None,
    pixel_size: float = 0.2125,
    software: str = "xenium-3.0.0.15",
) -> Path:
    """Write a Xenium folder without its morphology images, in the layout of version 2 and later.

    Cells are discs of 6 µm and nuclei discs of 3 µm in them. A transcript belongs to the nearest cell whose disc it is
    in; the matrix of the cells counts those of the genes with a quality of 20 or more.

    Parameters
    ----------
    path
        The folder; made when it is not there.
    xy
        (transcripts, 2) places (x, y) in µm from the corner of the morphology image; kept as float32, as the vendor does.
    features
        (transcripts,) names of their genes or controls.
    genes
        The panel; every other feature is a control.
    cells
        (cells, 2) centres in µm.
    image
        (height, width, 3) uint8, the H&E.
    alignment
        (3, 3) affine from pixels of ``image`` to pixels of the morphology image.
    quality
        (transcripts,) values of ``qv``; 40 when None.
    pixel_size
        µm per pixel of the morphology image.
    software
        Version of the instrument's software, as it writes it.

    Returns
    -------
    Path of the H&E, ``toy_he_image.ome.tif`` in the folder.

    Raises
    ------
    ValueError
        When the arrays do not belong together.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from stsr.datasets import write_xenium_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     image = write_xenium_folder(
    ...         folder,
    ...         xy=[[10, 10], [31, 40], [70, 55]],
    ...         features=["UMOD", "NPHS2", "NegControlProbe_00042"],
    ...         genes=["NPHS2", "UMOD"],
    ...         cells=[[30, 40], [70, 60]],
    ...         image=np.full((200, 200, 3), 230, dtype=np.uint8),
    ...         alignment=np.diag([0.5 / 0.2125, 0.5 / 0.2125, 1]),
    ...     )
    >>> image.name
    'toy_he_image.ome.tif'
    """
    import pandas as pd

    folder = Path(path)
    xy, cells = np.asarray(xy, dtype=np.float32), np.asarray(cells, dtype=np.float64)
    names, matrix = np.asarray(features, dtype=object), np.asarray(alignment, dtype=np.float64)
    qv = np.full(len(xy), 40, dtype=np.float32) if quality is None else np.asarray(quality, dtype=np.float32)
    if xy.shape != (len(names), 2) or len(qv) != len(names):
        raise ValueError(f"xy must be (transcripts, 2) and quality (transcripts,) for {len(names)} features.")
    if matrix.shape != (3, 3) or cells.shape != (len(cells), 2):
        raise ValueError(f"alignment must be (3, 3) and cells (cells, 2), got {matrix.shape} and {cells.shape}.")

    folder.mkdir(parents=True, exist_ok=True)
    specs = {"run_name": "toy", "region_name": "toy", "analysis_sw_version": software, "pixel_size": pixel_size}
    (folder / "experiment.xenium").write_text(json.dumps(specs))
    np.savetxt(folder / "toy_he_imagealignment.csv", matrix, delimiter=",", fmt="%.17g")
    mpp = pixel_size * np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    _write_he(folder / "toy_he_image.ome.tif", image, mpp)

    distance, nearest = cKDTree(cells).query(xy)
    inside = distance <= CELL
    position = pd.Index(genes).get_indexer(pd.Index(names))
    ids = np.array([_cell_id(number) for number in range(len(cells))])
    pd.DataFrame(
        {
            "transcript_id": np.arange(len(xy), dtype=np.uint64),
            "cell_id": np.where(inside, ids[nearest], "UNASSIGNED"),
            "overlaps_nucleus": (distance <= NUCLEUS).astype(np.uint8),
            "feature_name": names,
            "x_location": xy[:, 0],
            "y_location": xy[:, 1],
            "z_location": np.full(len(xy), 10, dtype=np.float32),
            "qv": qv,
            "is_gene": position >= 0,
        }
    ).to_parquet(folder / "transcripts.parquet", index=False)

    counted = inside & (qv >= GOOD) & (position >= 0)
    ones = np.ones(counted.sum(), dtype=np.int32)
    counts = sp.csr_array((ones, (nearest[counted], position[counted])), shape=(len(cells), len(genes)))
    write_matrix(
        folder / "cell_feature_matrix.h5",
        counts,
        list(ids),
        ensembl_like(genes),
        genes,
        chemistry="Xenium",
        version="3.0.0",
    )
    pd.DataFrame(
        {
            "cell_id": ids,
            "x_centroid": cells[:, 0],
            "y_centroid": cells[:, 1],
            "transcript_counts": counts.sum(axis=1),
            "cell_area": np.pi * CELL**2,
            "nucleus_area": np.pi * NUCLEUS**2,
        }
    ).to_parquet(folder / "cells.parquet", index=False)
    for name, radius in (("nucleus", NUCLEUS), ("cell", CELL)):
        _outlines(cells, ids, radius).to_parquet(folder / f"{name}_boundaries.parquet", index=False)
    extent = np.vstack([xy, cells + CELL]).max(axis=0) / pixel_size
    _write_cells(folder / "cells.zarr.zip", cells / pixel_size, pixel_size, np.ceil(extent).astype(int))
    return folder / "toy_he_image.ome.tif"


def _cell_id(number: int) -> str:
    """How the vendor spells a cell's number: eight hexadecimal digits as the letters a to p."""
    return "".join("abcdefghijklmnop"[int(digit, 16)] for digit in f"{number:08x}") + "-1"


def _write_he(path: Path, image: NDArray[np.uint8], mpp: float) -> None:
    import tifffile

    metadata = {"axes": "YXS", "PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
    tifffile.imwrite(path, image, photometric="rgb", tile=(256, 256), compression="deflate", metadata=metadata)


def _outlines(cells: NDArray[np.float64], ids: NDArray[np.str_], radius: float):
    """Vertices of the discs, those of a cell one after another."""
    import pandas as pd

    angle = np.linspace(0, 2 * np.pi, CORNERS + 1)
    ring = radius * np.column_stack([np.cos(angle), np.sin(angle)])
    vertices = (cells[:, None] + ring).reshape(-1, 2)
    return pd.DataFrame(
        {
            "cell_id": ids.repeat(len(ring)),
            "vertex_x": vertices[:, 0].astype(np.float32),
            "vertex_y": vertices[:, 1].astype(np.float32),
            "label_id": np.arange(1, len(cells) + 1, dtype=np.uint32).repeat(len(ring)),
        }
    )


def _write_cells(path: Path, centres: NDArray[np.float64], pixel_size: float, size: NDArray[np.int64]) -> None:
    """The zarr of the cells: their numbers, and their discs as labels in pixels of the morphology image."""
    import zarr

    n = len(centres)
    with zarr.storage.ZipStore(path, mode="w") as store:
        group = zarr.open_group(store, mode="w", zarr_format=2)
        group["cell_id"] = np.column_stack([np.arange(n), np.ones(n)]).astype(np.uint32)
        columns = ["cell_centroid_x", "cell_centroid_y", "cell_area"]
        columns += ["nucleus_centroid_x", "nucleus_centroid_y", "nucleus_area", "z_level", "nucleus_count"]
        summary = np.column_stack([centres * pixel_size, np.zeros((n, 5)), np.ones(n)])
        group.create_array("cell_summary", data=summary, attributes={"column_names": columns})
        for number, radius in enumerate((NUCLEUS, CELL)):
            group[f"masks/{number}"] = _discs(centres, radius / pixel_size, size)
            group[f"polygon_sets/{number}/cell_index"] = np.arange(n, dtype=np.uint32)


def _discs(centres: NDArray[np.float64], radius: float, size: NDArray[np.int64]) -> NDArray[np.uint32]:
    """(height, width) labels 1, 2, ... of discs, all in pixels; ``size`` is (width, height)."""
    labels = np.zeros((size[1], size[0]), dtype=np.uint32)
    for label, (x, y) in enumerate(centres, start=1):
        top, left = max(0, int(y - radius)), max(0, int(x - radius))
        window = labels[top : int(y + radius) + 2, left : int(x + radius) + 2]
        rows, cols = np.ogrid[: window.shape[0], : window.shape[1]]
        window[(rows + top + 0.5 - y) ** 2 + (cols + left + 0.5 - x) ** 2 <= radius**2] = label
    return labels
