"""Image features of every grid cell."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from stsr.constants import IMAGE, features_key
from stsr.geometry import Grid
from stsr.imaging.raster import Raster
from stsr.spatial import labels_to_grid, made, put, read_raster, record, transformations

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from stsr.encoders import Encoder

logger = logging.getLogger(__name__)

VERSION = 2
"""Raised whenever the same encoder on the same image gives other numbers than before."""

BAND_BYTES = 2**28
"""A band of rows takes about this much as float32."""

CHUNK_BYTES = 2**22
"""A chunk on disk takes about this much as float16."""


def extract_features(
    sdata: SpatialData,
    *,
    encoder: Any = "texture",
    bin_size: float = 8.0,
    grid: str | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 32,
    key_added: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> str:
    """Measure what the image shows in every cell of a grid and add it as an image element.

    The raster has the grid's rows, columns and place, and one float16 channel a feature; cells outside tissue are 0.
    Values beyond ±65504, the reach of float16, are clipped. It is written band by band as it is computed. Encoders
    that see the image in tiles are run on overlapping tiles, which are blended so that no seam shows, and their tokens
    are interpolated to the cells.

    What the raster was made from (encoder, weights, grid, image) is kept with the element. When
    the element is there already and was made from the same, nothing is computed.

    Parameters
    ----------
    sdata
        A section read by stsr. Without a calibrated image, :func:`stsr.pp.calibrate_image` is run first, and without
        the grid, :func:`stsr.pp.make_grid`.
    encoder
        ``"texture"``, a published encoder (see ``stsr encoders``), the name of any model of timm, or an object with
        ``encode_image_dense(x)``, ``grid_size`` and ``get_transform()``.
    bin_size
        Side of a cell in µm, when ``grid`` is not given.
    grid
        Labels element with the grid.
    weights
        A local file with the encoder's weights, or its folder; the published ones from the hub when None; ``"random"``
        for a network that has learned nothing.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    batch_size
        Tiles that go through the network at a time.
    key_added
        Name of the element; ``"features_texture_008um"`` for texture on cells of 8 µm.
    overwrite
        Replace an element of that name that was made from something else.
    progress
        Show a progress bar.

    Returns
    -------
    The element's name.

    Raises
    ------
    KeyError
        When ``grid`` is not in ``sdata``; the message lists the grids.
    ValueError
        For an unknown encoder or unfit weights, an element that is there already and was made from something else, or
        features that are not numbers.
    PermissionError, ConnectionError
        When the weights could not be downloaded.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> stsr.pp.extract_features(sdata, bin_size=16, progress=False)
    'features_texture_016um'
    >>> sdata["features_texture_016um"].dtype
    dtype('float16')
    """
    from stsr.encoders import create, identity, plain_name

    who = identity(encoder, weights)
    grid_name, cells = _prepare(sdata, bin_size, grid)
    raster = read_raster(sdata, IMAGE)
    name = plain_name(encoder)
    key = key_added or features_key(name, grid_name)
    digest = None if who is None else _content_key(who, cells, raster)
    if key in sdata and digest is not None and (made(sdata, key) or {}).get("made_from") == digest:
        logger.info("%s: cached, made from the same image, grid and encoder.", key)
        return key
    if key in sdata and not overwrite:
        raise ValueError(
            f"key_added={key!r} exists already and was made from another image, grid or encoder; pass overwrite=True to "
            "replace it or another name."
        )

    maker = create(encoder, weights=weights, device=device, batch_size=batch_size)
    put(
        sdata,
        key,
        _skeleton(sdata, maker, cells),
        overwrite=overwrite,
        fill=lambda open_array: _encode(open_array("0"), maker, raster, cells, progress),
        made={"encoder": name, "made_from": digest},
    )
    logger.info("%s: %d features of %d cells by %s.", key, maker.info.dim, cells.n_cells, maker.info.name)
    return key


def encoder_of(sdata: SpatialData, features: str) -> str:
    """Name of the encoder behind a feature raster.

    Raises
    ------
    KeyError
        When no such raster was made; the message lists those that were.
    """
    known = {name: made(sdata, name) or {} for name in sdata.images}
    known = {name: facts["encoder"] for name, facts in known.items() if "encoder" in facts}
    if features not in known:
        raise KeyError(f"features={features!r} not found; sdata holds the features {', '.join(known) or 'none'}.")
    return known[features]


def _prepare(sdata: SpatialData, bin_size: float, grid: str | None) -> tuple[str, Grid]:
    """Run the steps before this one where they have not been run; returns the grid and its name."""
    from stsr.pp.make_grid import default_grid

    if grid is not None:
        labels_to_grid(sdata, grid)  # refused before anything is computed
    if IMAGE not in sdata.images:
        from stsr.pp.calibrate_image import calibrate_image

        logger.info("No calibrated image yet: calibrate_image runs with its defaults.")
        calibrate_image(sdata)
    name = default_grid(sdata, grid, bin_size)
    return name, labels_to_grid(sdata, name)


def _content_key(who: str, grid: Grid, raster: Raster) -> str:
    """Checksum of everything the features depend on; of the image, the coarsest level and the places of all."""
    digest = hashlib.sha256(json.dumps([VERSION, who, grid.shape]).encode())
    for array in (grid.affine, np.packbits(grid.mask), np.asarray(raster.levels[-1][0])):
        digest.update(np.ascontiguousarray(array).tobytes())
    for pixels, affine in raster.levels:
        digest.update(json.dumps([pixels.shape, affine.tolist()]).encode())
    return digest.hexdigest()


def _layout(dim: int, grid: Grid) -> tuple[int, tuple[int, int, int]]:
    """Rows of a band and the chunks on disk; a band is whole chunks, so that each is written once."""
    rows, cols = grid.shape
    affordable = BAND_BYTES // (4 * dim * cols)
    band = int(2 ** np.floor(np.log2(np.clip(affordable, 8, 128))))
    height = min(band, 64)
    width = max(32, CHUNK_BYTES // (2 * dim * height))
    width = -(-cols // -(-cols // width))  # columns shared out evenly
    return band, (dim, min(height, rows), width)


def _skeleton(sdata: SpatialData, encoder: Encoder, grid: Grid) -> Any:
    """The image element with nothing in it yet."""
    import dask.array as da
    from spatialdata.models import Image2DModel

    dim = encoder.info.dim
    _, chunks = _layout(dim, grid)
    names = getattr(encoder, "names", None)
    return Image2DModel.parse(
        da.zeros((dim, *grid.shape), dtype=np.float16, chunks=chunks),
        dims=("c", "y", "x"),
        c_coords=None if names is None else list(names),
        transformations=transformations(grid.affine, record(sdata)),
    )


def _encode(target: Any, encoder: Encoder, raster: Raster, grid: Grid, progress: bool) -> None:
    """Compute the features band by band and write each into ``target`` (dim, rows, cols)."""
    step, _ = _layout(encoder.info.dim, grid)
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
