"""Small SpatialData objects and vendor folders for the tests of the spatial room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import spatialdata as sd
from spatialdata.models import Labels2DModel, ShapesModel, TableModel
from spatialdata.transformations import Identity

from stsr.datasets.vendor import write_visium_folder
from stsr.spatial import Record, image_pyramid, set_record

MPP = 0.5
GENES = ["UMOD", "NPHS2", "PODXL", "AQP2", "GPX3"]


def toy_record(**changes: Any) -> Record:
    facts = {
        "technology": "visium",
        "dataset_id": "toy",
        "coordinate_system": "toy",
        "mpp": MPP,
        "mpp_source": "pitch",
        "spot_size": 55.0,
        "image": "toy_full_image",
        "spots": "toy",
        "table": "table",
    }
    return Record(**(facts | changes))


def toy_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint8: smooth colours with some noise."""
    rows, cols = np.mgrid[0:height, 0:width]
    smooth = np.stack([rows / height, cols / width, (rows + cols) / (height + width)], axis=-1) * 180
    return (smooth + np.random.default_rng(seed).integers(0, 70, smooth.shape)).astype(np.uint8)


def hex_spots(rows: int, cols: int, pitch: float, origin: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Centres (x, y) in pixels of a Visium lattice, and its (array_row, array_col)."""
    rowcol = np.array([(row, 2 * col + row % 2) for row in range(rows) for col in range(cols)])
    xy = rowcol[:, ::-1] * (pitch / 2, pitch * np.sqrt(3) / 2) + origin
    return xy, rowcol


def toy_counts(spots: int, genes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(2.0, (spots, genes))


def toy_sdata(**changes: Any) -> sd.SpatialData:
    """A section of 12 spots x 5 genes in memory, as read_visium makes it."""
    xy, rowcol = hex_spots(4, 3, 100 / MPP, (150, 150))
    pixels = da.from_array(toy_image(1000, 900).transpose(2, 0, 1), chunks=(3, 300, 300))
    here = {"toy": Identity(), "global": Identity()}
    spots = ShapesModel.parse(xy, geometry=0, radius=65 / 2 / MPP, index=np.arange(12), transformations=here)
    table = ad.AnnData(
        X=toy_counts(12, 5).astype(np.float32),
        obs=pd.DataFrame(
            {"region": pd.Categorical(["toy"] * 12), "spot_id": np.arange(12), "array_row": rowcol[:, 0]},
            index=[f"spot{n}" for n in range(12)],
        ),
        var=pd.DataFrame(index=GENES),
    )
    sdata = sd.SpatialData(
        images={"toy_full_image": image_pyramid(pixels, here)},
        shapes={"toy": spots},
        tables={"table": TableModel.parse(table, region="toy", region_key="region", instance_key="spot_id")},
    )
    set_record(sdata, toy_record(**changes))
    return sdata


def toy_labels(value: int = 1) -> Any:
    """A labels element of 3 x 4 cells."""
    return Labels2DModel.parse(np.arange(value, value + 12, dtype=np.uint32).reshape(3, 4), dims=("y", "x"))


def toy_table(cells: int = 12, genes: int = 5, region: str = "grid", seed: int = 0) -> ad.AnnData:
    """A table on a grid whose matrices are dask arrays of zeros, for put to fill."""
    table = ad.AnnData(
        X=da.zeros((cells, genes), dtype=np.float32),
        obs=pd.DataFrame(
            {"region": pd.Categorical([region] * cells), "bin_id": np.arange(1, cells + 1)},
            index=np.arange(1, cells + 1).astype(str),
        ),
        var=pd.DataFrame(index=[f"gene{n}" for n in range(genes)]),
        obsm={"spatial": np.random.default_rng(seed).random((cells, 2)), "X_stsr": da.zeros((cells, 3), dtype="f4")},
        layers={"sd": da.zeros((cells, genes), dtype=np.float32)},
        uns={"stsr": {"bin_size": 8.0, "genes": ["a", "b"]}},
    )
    return TableModel.parse(table, region=region, region_key="region", instance_key="bin_id")


def toy_folder(folder: Path, *, height: int = 700, width: int = 800, mpp: float = 2.0, **changes: Any) -> Path:
    """A vendor folder with 8 x 6 spots; returns the path of its full-resolution image."""
    xy, rowcol = hex_spots(8, 6, 100 / mpp, (100, 80))
    arrays = {
        "counts": toy_counts(len(xy), len(GENES)),
        "genes": GENES,
        "xy": xy,
        "array_rowcol": rowcol,
        "image": toy_image(height, width),
        "mpp": mpp,
    }
    return write_visium_folder(folder, **(arrays | changes))
