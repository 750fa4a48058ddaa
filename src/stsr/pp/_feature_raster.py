"""Features of every cell as an image element, written band by band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from stsr.geometry import Grid
from stsr.pp.provenance import Made
from stsr.spatial import put, record, transformations

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from stsr.encoders import Encoder

BAND_BYTES = 2**28
"""A band of rows takes about this much as float32."""

CHUNK_BYTES = 2**22
"""A chunk on disk takes about this much as float16."""


def write_features(
    sdata: SpatialData,
    key: str,
    encoder: Encoder,
    raster: Any,
    grid: Grid,
    *,
    made: Made,
    overwrite: bool,
    progress: bool,
) -> None:
    """Compute the features of the cells with an encoder, and write them with their provenance.

    Raises
    ------
    ValueError
        When the name is taken, or features are not numbers.
    """
    put(
        sdata,
        key,
        skeleton(sdata, encoder, grid),
        overwrite=overwrite,
        fill=lambda open_array: encode(open_array("0"), encoder, raster, grid, progress),
        made=made.content,
    )


def layout(dim: int, grid: Grid) -> tuple[int, tuple[int, int, int]]:
    """Rows of a band and the chunks on disk; a band is whole chunks, so that each is written once."""
    rows, cols = grid.shape
    affordable = BAND_BYTES // (4 * dim * cols)
    band = int(2 ** np.floor(np.log2(np.clip(affordable, 8, 128))))
    height = min(band, 64)
    width = max(32, CHUNK_BYTES // (2 * dim * height))
    width = -(-cols // -(-cols // width))  # columns shared out evenly
    return band, (dim, min(height, rows), width)


def skeleton(sdata: SpatialData, encoder: Encoder, grid: Grid) -> Any:
    """The image element, still empty."""
    import dask.array as da
    from spatialdata.models import Image2DModel

    dim = encoder.info.dim
    _, chunks = layout(dim, grid)
    names = getattr(encoder, "names", None)
    return Image2DModel.parse(
        da.zeros((dim, *grid.shape), dtype=np.float16, chunks=chunks),
        dims=("c", "y", "x"),
        c_coords=None if names is None else list(names),
        transformations=transformations(grid.affine, record(sdata)),
    )


def encode(target: Any, encoder: Encoder, raster: Any, grid: Grid, progress: bool) -> None:
    """Compute the features band by band and write each into ``target`` (dim, rows, cols)."""
    step, _ = layout(encoder.info.dim, grid)
    limit = np.finfo(np.float16).max
    name = encoder.info.name
    with tqdm(total=grid.n_cells, unit="cell", unit_scale=True, desc=name, disable=not progress) as bar:
        for start in range(0, grid.shape[0], step):
            rows = slice(start, min(start + step, grid.shape[0]))
            band = encoder.encode_rows(raster, grid, rows)
            band[:, ~grid.mask[rows]] = 0
            if not np.isfinite(band).all():
                raise ValueError(f"encoder={name!r} gives features that are not numbers; try device='cpu'.")
            np.clip(band, -limit, limit, out=band)
            target[:, rows] = band.astype(np.float16)
            bar.update(int(grid.mask[rows].sum()))
