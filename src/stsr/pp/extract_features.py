"""Image features of every grid cell."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.arguments import BATCH_SIZE, SWITCH
from stsr.constants import IMAGE, features_key
from stsr.geometry import Grid
from stsr.identity import Identity
from stsr.pp._feature_raster import write_features
from stsr.pp.provenance import Made, cells_checksum, image_checksum, made_of
from stsr.spatial import labels_to_grid, read_raster, record
from stsr.spatial.store import TakenError, unless_made

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

VERSION = 2
"""Raised whenever the same encoder on the same image gives other numbers than before."""


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

    What the raster was made from (the encoder and a checksum of its weights, the grid, the image) is kept with the
    element, and compared wherever it is used. When the element is there already and was made from the same, nothing is
    computed.

    Parameters
    ----------
    sdata
        A section read by stsr. Without a calibrated image, :func:`stsr.pp.calibrate_image` is run first, and without
        the grid, :func:`stsr.pp.make_grid`.
    encoder
        ``"texture"``, a published encoder (see ``stsr encoders``), the name of any model of timm, or an object with
        ``encode_image_dense(x)``, ``grid_size`` and ``get_transform()``. An object is known again by its class and the
        weights in its ``state_dict()``, or by an ``identity`` of its own, a text; without either it is run each time.
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
    from stsr.encoders import create, kind_of_weights, plain_name, source
    from stsr.nn.training.device import check_device

    record(sdata)
    device = check_device(device)
    overwrite = SWITCH("overwrite", overwrite)
    batch_size = BATCH_SIZE("batch_size", batch_size)
    progress = SWITCH("progress", progress)
    who = source(encoder, weights)
    grid_name, cells = _prepare(sdata, bin_size, grid)
    raster = read_raster(sdata, IMAGE)
    name = plain_name(encoder)
    key = key_added or features_key(name, grid_name)
    now = cells_checksum(cells), image_checksum(raster)
    if key in sdata:
        known = _known(sdata, key)
        same = known is not None and (known.source, known.cells, known.image) == (who, *now)
        if known is not None and same and who is not None and known.encoder.version == VERSION:
            logger.info("%s: cached, made from the same image, grid and encoder.", key)
            return key
        if not overwrite:
            raise ValueError(
                f"key_added={key!r} exists already and was made from another image, grid or encoder"
                f"{'' if who else ', or cannot be identified, as the object has neither identity nor state_dict()'}; pass "
                "overwrite=True to replace it or another name."
            )
        logger.info("%s: made again, its image, grid or encoder has changed or cannot be identified.", key)
    maker = create(encoder, weights=weights, device=device, batch_size=batch_size)
    identity = Identity(
        name, kind_of_weights(encoder, weights), getattr(maker, "checksum", None), maker.info.dim, VERSION
    )
    made = Made(identity, who, grid_name, cells.bin_size, *now)
    write_features(sdata, key, maker, raster, cells, made=made, overwrite=overwrite, progress=progress)
    logger.info("%s: %d features of %d cells by %s.", key, maker.info.dim, cells.n_cells, maker.info.name)
    return key


def up_to_date(
    sdata: SpatialData,
    encoder: Any,
    grid: str,
    *,
    weights: str | Path | None,
    device: str,
    progress: bool,
    overwrite: bool,
) -> str:
    """Name of an encoder's features on a grid, made where they are missing.

    Where the image or the grid has changed since they were made, or the user's own object cannot be
    identified, they are made again; those of other weights are only replaced with ``overwrite``.
    """
    from stsr.encoders import plain_name, source

    key = features_key(plain_name(encoder), grid)
    known = _known(sdata, key) if key in sdata else None
    who = source(encoder, weights)
    again = known is not None and known.image is not None and known.source == who
    make = partial(
        extract_features,
        sdata,
        encoder=encoder,
        grid=grid,
        weights=weights,
        device=device,
        overwrite=overwrite or again,
        progress=progress,
    )
    try:
        return make()
    except TakenError:  # by another run meanwhile, which is seen now, or there before: then it is raised again
        return make()


def _known(sdata: SpatialData, key: str) -> Made | None:
    """Provenance of an element, where it holds features and has one."""
    try:
        return made_of(sdata, key)
    except (KeyError, ValueError):
        return None


def _prepare(sdata: SpatialData, bin_size: float, grid: str | None) -> tuple[str, Grid]:
    """Run the steps before this one where they have not been run; returns the grid and its name."""
    from stsr.pp.make_grid import default_grid

    if grid is not None:
        labels_to_grid(sdata, grid)  # refused before anything is computed
    if IMAGE not in sdata.images:
        from stsr.pp.calibrate_image import calibrate_image

        logger.info("No calibrated image yet: calibrate_image runs with its defaults.")
        unless_made(sdata, lambda: calibrate_image(sdata))
    name = default_grid(sdata, grid, bin_size)
    return name, labels_to_grid(sdata, name)
