"""Write what a fitted model predicts into a SpatialData object."""

from __future__ import annotations

import logging
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.arguments import SWITCH
from stsr.constants import ATTRS, IMAGE, LATENT, SD, features_key, table_key
from stsr.identity import OWN
from stsr.methods import METHODS, Balanced, Predictor
from stsr.methods.model import Model
from stsr.methods.shared.border import Unplaced
from stsr.nn.training.device import check_device
from stsr.options import shown
from stsr.spatial import made, put, read_section, record, spots_table
from stsr.spatial.grid_table import grid_table
from stsr.spatial.store import check_name
from stsr.spatial.tables import CHUNKS
from stsr.spatial.totals import expect_totals, with_totals
from stsr.spatial.uns import plain_uns
from stsr.tl._bands import write_bands

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from stsr.geometry import Grid

logger = logging.getLogger(__name__)

BIN_SIZE_TOLERANCE = 0.01
"""Relative difference in bin size between a model and a grid, at most."""


def predict(
    sdata: SpatialData,
    model: Model,
    *,
    grid: str | None = None,
    features: str | None = None,
    weights: str | Path | None = None,
    key_added: str | None = None,
    device: str = "auto",
    progress: bool = True,
    overwrite: bool = False,
) -> str:
    """Predict a section with a fitted model and add the result as a table that annotates the grid.

    Methods that use spots where they predict use those of ``sdata``, whatever section the model was fitted on. Bands of the
    grid are predicted and written one after another, so memory does not grow with the section.

    Methods that need no spots where they predict (see ``stsr methods``) also take a section with only an image, such as
    from :func:`stsr.pp.from_image`, or one whose table lacks genes of the model, such as those outside a panel. The spots
    are then used for no gene, which is logged.

    Parameters
    ----------
    sdata
        A section read by stsr, of the tissue that the model was fitted on.
    model
        From :func:`stsr.tl.fit_super_resolution` or :meth:`stsr.tl.Model.load`.
    grid
        Labels element with the cells to predict; by default that of the model's bin size, made when missing.
    features
        Image element with their features; by default those of the model's encoder. Where these are missing they are
        extracted if that needs no weights, or with ``weights``. Nothing is downloaded, since a model file may come from others.
    weights
        A local file with the weights of the model's encoder, or ``"random"``; see :func:`stsr.pp.extract_features`.
    key_added
        Name of the table; ``"sr_008um"`` for cells of 8 µm.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress
        Show a progress bar.
    overwrite
        Replace a table of that name, and features of other weights under the name that those of the model's encoder have.

    Returns
    -------
    The table's name. Its ``X`` holds expected UMI counts per cell, on the scale of the spots' counts. Over all spots
    together, the cells under them add up to about the measured counts. Under a single spot they do not, and should not: a
    spot's counts are partly noise. ``uns["stsr"]["balance"]`` has the median difference for ``cross_attention``; its option
    ``balance="exact"`` makes sums match. Where no spots are used, the scale is that of the spots the model was fitted on.
    ``obsm["X_stsr"]`` is the method's latent and ``layers["sd"]`` its standard deviation, where it has them;
    ``uns["stsr"]`` records how the table was made. All values are finite and not negative; otherwise no table is written.

    Of a spot that lies partly on the grid, at most that share of its counts is placed on cells.
    ``uns["stsr"]["unplaced"]`` has the number of these spots, ``"spots_cut"``, that of spots off the grid, ``"spots_off"``,
    and the largest possible ``"share"`` of all counts that is not placed.

    Raises
    ------
    ValueError
        When the model's method needs spots and the section has none, or lacks some of the genes; or when its bin size or
        encoder, with its weights, differ from the grid's and features'; when features are missing that need weights, or
        are not of the image and the grid as they are; when a predicted value is not finite or is negative.
    KeyError
        For an element that is not there; the message lists those that are.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=20)
    >>> stsr.tl.predict(sdata, model, key_added="again")
    'again'
    """
    if not isinstance(model, Model):
        raise ValueError(
            f"model={shown(model)} is not allowed; pass what stsr.tl.fit_super_resolution or stsr.tl.Model.load returned."
        )
    device = check_device(device)
    progress = SWITCH("progress", progress)
    key = key_added or table_key(model.bin_size)
    check_name(sdata, "tables", key, overwrite)
    with_spots = _use_spots(sdata, model)
    grid, features = _ready(sdata, model, grid, features, weights, device, progress, overwrite)
    section = read_section(
        sdata,
        genes=model.genes,
        grid=grid,
        features=features,
        need_image="image" in model.method.info.needs,
        with_spots=with_spots,
    )
    if abs(section.grid.bin_size / model.bin_size - 1) > BIN_SIZE_TOLERANCE:
        raise ValueError(
            f"grid={grid!r} has cells of {section.grid.bin_size:g} µm, the model was fitted on {model.bin_size:g} µm; "
            "pass a grid of that size."
        )
    unplaced = Unplaced.of(section)
    unplaced.tell()
    predictor = model.method.on(section, device=device)
    table = _skeleton(sdata, model, section.grid, grid, key, predictor)
    table.uns[ATTRS]["unplaced"] = asdict(unplaced)
    if isinstance(predictor, Balanced):
        table.uns[ATTRS]["balance"] = predictor.balance_facts
    put(
        sdata,
        key,
        table,
        overwrite=overwrite,
        fill=with_totals(lambda open_: write_bands(open_, predictor, section, table, progress, model.name)),
    )
    logger.info("%s: %d cells x %d genes from %s.", key, *table.shape, model.name)
    return key


def _use_spots(sdata: SpatialData, model: Model) -> bool:
    """Whether a model can use the spots of a section; an error when it cannot and its method needs them."""
    facts = record(sdata)
    lack = "has no spots"
    if facts.table is not None:
        measured = set(spots_table(sdata).var_names)
        missing = [gene for gene in model.genes if gene not in measured]
        if not missing:
            return True
        more = f" and {len(missing) - 1} other genes" if len(missing) > 1 else ""
        lack = f"lacks {missing[0]}{more} of the model"
    if "spots" in model.method.info.needs:
        others = ", ".join(sorted(name for name, kind in METHODS.items() if "spots" not in kind.info.needs))
        raise ValueError(
            f"section {facts.dataset_id!r} {lack}, which method={model.name!r} needs; fit one that predicts from the image "
            f"alone: {others}."
        )
    if facts.table is not None:
        logger.info("Section %r %s: all is predicted from the image, its spots are not used.", facts.dataset_id, lack)
    return False


def _ready(
    sdata: SpatialData,
    model: Model,
    grid: str | None,
    features: str | None,
    weights: str | Path | None,
    device: str,
    progress: bool,
    overwrite: bool,
) -> tuple[str, str | None]:
    """Names of the grid and, for a method that needs them, of the features; what is missing is made."""
    from stsr.encoders import is_local
    from stsr.pp.extract_features import up_to_date
    from stsr.pp.make_grid import default_grid
    from stsr.pp.provenance import checked, remedy

    grid = default_grid(sdata, grid, model.bin_size)
    if model.encoder is None:
        return grid, None
    wanted = model.encoder
    if features is None:
        features = features_key(wanted.name, grid)
        # The name comes from a model file, which others may have made: nothing is downloaded because of it.
        if wanted.weights != OWN and is_local(wanted.name, weights):
            features = up_to_date(
                sdata, wanted.name, grid, weights=weights, device=device, progress=progress, overwrite=overwrite
            )
        elif features not in sdata.images:
            raise ValueError(
                f"features={features!r} of the model's encoder {wanted.told} are missing; "
                f"{remedy(wanted, features, grid)}{'' if wanted.weights == OWN else ', or pass its file as weights='}."
            )
    encoder = checked(sdata, features, grid).encoder
    if not encoder.same(wanted):
        raise ValueError(
            f"features={features!r} were made by encoder {encoder.told}, the model was fitted on {wanted.told}; to make "
            f"those, {remedy(wanted, features_key(wanted.name, grid), grid)}."
        )
    return grid, features


def _skeleton(sdata: SpatialData, model: Model, grid: Grid, region: str, key: str, predictor: Predictor) -> AnnData:
    """The table without its values: dask arrays are placeholders for the bands."""
    import dask.array as da

    facts = record(sdata)
    probe = predictor(slice(0, 1))

    def empty(width: int) -> Any:
        return da.zeros((grid.n_cells, width), dtype=np.float32, chunks=(CHUNKS[0], -1))

    table = grid_table(empty(len(model.genes)), model.genes, grid, region=region, mpp=facts.mpp)
    if probe.latent is not None:
        table.obsm[LATENT] = empty(probe.latent.shape[1])
    if probe.sd is not None:
        table.layers[SD] = empty(len(model.genes))
    encoder = model.encoder
    about = {
        "method": model.name,
        "options": model.options,
        "bin_size": grid.bin_size,
        "mpp": facts.mpp,
        "encoder": "none" if encoder is None else encoder.name,
        "encoder_weights": None if encoder is None else encoder.weights,
        "encoder_checksum": None if encoder is None else encoder.checksum,
        "seed": model.seed,
        "history": model.history,
        "image_qc": (made(sdata, IMAGE) or sdata.attrs[ATTRS]).get("image_qc", {}),
        "units": "expected UMI counts per cell",
        "versions": {name: _version(name) for name in ("stsr", "torch", "spatialdata", "anndata")},
    }
    table.uns[ATTRS] = plain_uns(about)
    expect_totals(table)
    return table


def _version(package: str) -> str:
    """Installed version of a package; some builds do not record it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
