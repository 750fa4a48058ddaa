"""Write what a fitted model predicts into a SpatialData object."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.constants import ATTRS, IMAGE, LATENT, SD, features_key, table_key
from stsr.methods import METHODS, Prediction, Predictor
from stsr.methods.border import Unplaced
from stsr.methods.features import BAND_VALUES
from stsr.methods.model import Model
from stsr.spatial import made, put, read_section, record, spots_table
from stsr.spatial.grid_table import grid_table
from stsr.spatial.store import check_name
from stsr.spatial.tables import CHUNKS

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from stsr.geometry import Grid
    from stsr.section import Section

logger = logging.getLogger(__name__)


def predict(
    sdata: SpatialData,
    model: Model,
    *,
    grid: str | None = None,
    features: str | None = None,
    key_added: str | None = None,
    device: str = "auto",
    progress: bool = True,
    overwrite: bool = False,
) -> str:
    """Predict a section with a fitted model and add the result as a table that annotates the grid.

    The spots of ``sdata`` are the measured neighbours, whatever section the model was fitted on. Bands of the grid are
    predicted and written one after another, so memory does not grow with the section.

    Methods that need no spots where they predict (see ``stsr methods``) also take a section of which there is only the
    image, such as from :func:`stsr.pp.from_image`; and one whose table lacks genes of the model, such as those outside a
    panel. Its spots, which say nothing of these, are then not looked at for any gene, and the log says so.

    Parameters
    ----------
    sdata
        A section read by stsr, of the tissue that the model was fitted on.
    model
        From :func:`stsr.tl.fit_super_resolution` or :meth:`stsr.tl.Model.load`.
    grid
        Labels element with the cells to predict; by default that of the model's bin size, made when missing.
    features
        Image element with their features; by default those of the model's encoder, extracted when missing.
    key_added
        Name of the table; ``"sr_008um"`` for cells of 8 µm.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress
        Show a progress bar.
    overwrite
        Replace a table of that name.

    Returns
    -------
    The table's name. Its ``X`` holds expected UMI counts per cell, on the scale of the spots' counts: the cells under a
    spot add up to what the spot measured. Where no spots are looked at, the scale is that of the spots the model was
    fitted on. ``obsm["X_stsr"]`` is the method's latent and ``layers["sd"]`` its
    standard deviation, where it has them; ``uns["stsr"]`` says how the table was made. Of spots that lie on the grid in
    part, no more than that part's share is placed on cells: ``uns["stsr"]["unplaced"]`` has their number ``"spots_cut"``,
    that of spots beside the grid, ``"spots_off"``, and the ``"share"`` of all counts that cannot be placed at most.

    Raises
    ------
    ValueError
        When the model's method needs spots and the section has none, or lacks some of the genes; or when its bin size or
        encoder, or number of features, differ from the grid's and features'.
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
    key = key_added or table_key(model.bin_size)
    check_name(sdata, "tables", key, overwrite)
    with_spots = _asks_spots(sdata, model)
    grid, features = _ready(sdata, model, grid, features, device, progress)
    section = read_section(
        sdata,
        genes=model.genes,
        grid=grid,
        features=features,
        need_image="image" in model.method.info.needs,
        with_spots=with_spots,
    )
    if abs(section.grid.bin_size / model.bin_size - 1) > 0.01:
        raise ValueError(
            f"grid={grid!r} has cells of {section.grid.bin_size:g} µm, the model was fitted on {model.bin_size:g} µm; "
            "pass a grid of that size."
        )
    if model.encoder is not None and section.n_features != model.n_features:
        raise ValueError(
            f"features={features!r} are {section.n_features} a cell, the model was fitted on {model.n_features}; extract "
            "them again with overwrite=True, or fit the model again."
        )
    unplaced = Unplaced.of(section)
    unplaced.tell()
    predictor = model.method.on(section, device=device)
    table = _skeleton(sdata, model, section.grid, grid, key, predictor)
    table.uns[ATTRS]["unplaced"] = asdict(unplaced)
    put(
        sdata,
        key,
        table,
        overwrite=overwrite,
        fill=lambda open_: _fill(open_, predictor, section, table, progress),
    )
    logger.info("%s: %d cells x %d genes from %s.", key, *table.shape, model.name)
    return key


def _asks_spots(sdata: SpatialData, model: Model) -> bool:
    """Whether the spots of a section serve a model; refused when they do not and its method needs them."""
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
        logger.info(
            "Section %r %s: all is predicted from the image, its spots are not looked at.", facts.dataset_id, lack
        )
    return False


def _ready(
    sdata: SpatialData, model: Model, grid: str | None, features: str | None, device: str, progress: bool
) -> tuple[str, str | None]:
    """Names of the grid and, for a method that needs them, of the features; what is missing is made."""
    from stsr.pp.extract_features import encoder_of, extract_features
    from stsr.pp.make_grid import default_grid

    grid = default_grid(sdata, grid, model.bin_size)
    if model.encoder is None:
        return grid, None
    if features is None:
        features = features_key(model.encoder, grid)
        if features not in sdata.images:
            features = extract_features(sdata, encoder=model.encoder, grid=grid, device=device, progress=progress)
    if (encoder := encoder_of(sdata, features)) != model.encoder:
        raise ValueError(
            f"features={features!r} were made by encoder {encoder!r}, the model was fitted on {model.encoder!r}; "
            "extract the features of that encoder."
        )
    return grid, features


def _skeleton(sdata: SpatialData, model: Model, grid: Grid, region: str, key: str, predictor: Predictor) -> AnnData:
    """The table without its values: dask arrays stand where bands will be written."""
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
    table.uns[ATTRS] = {
        "method": model.name,
        "options": {name: value for name, value in model.options.items() if value is not None},
        "bin_size": grid.bin_size,
        "mpp": facts.mpp,
        "encoder": model.encoder or "none",
        "seed": model.seed,
        "history": {name: np.array(values) for name, values in model.history.items()},
        "image_qc": (made(sdata, IMAGE) or sdata.attrs[ATTRS]).get("image_qc", {}),
        "units": "expected UMI counts per cell",
        "versions": {name: version(name) for name in ("stsr", "torch", "spatialdata", "anndata")},
    }
    return table


def _fill(open_: Any, predictor: Predictor, section: Section, table: AnnData, progress: bool) -> None:
    """Predict band after band, write in whole chunks."""
    from tqdm.auto import tqdm

    target = {"X": "mean", f"obsm/{LATENT}": "latent", f"layers/{SD}": "sd"}
    arrays = {
        field: open_(path)
        for path, field in target.items()
        if path == "X" or path.split("/")[1] in {*table.obsm, *table.layers}
    }
    bands = section.grid.bands(max(CHUNKS[0], BAND_VALUES // max(table.n_vars, section.n_features)))
    bar = tqdm(bands, desc="predict", unit="band", disable=not progress)
    predictions = (predictor(rows) for rows in bar)
    runs = in_runs(predictions, list(arrays), CHUNKS[0])

    def write(run: dict[str, Any], start: int) -> None:
        for field, array in arrays.items():
            array[start : start + len(run[field])] = run[field]

    start = 0
    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(lambda: None)
        for run in runs:
            # One run is written while the next is predicted, never more: they would fill memory.
            written.result()
            written = writer.submit(write, run, start)
            start += len(run["mean"])
        written.result()


def in_runs(predictions: Iterator[Prediction], fields: list[str], chunk: int) -> Iterator[dict[str, Any]]:
    """Regroup predictions into runs of whole chunks, so that no chunk on disk is written twice."""
    rest: dict[str, Any] = {}
    for prediction in predictions:
        new = {field: getattr(prediction, field) for field in fields}
        run = {field: np.concatenate([rest[field], new[field]]) for field in fields} if rest else new
        whole = len(run[fields[0]]) // chunk * chunk
        if whole:
            yield {field: values[:whole] for field, values in run.items()}
        rest = {field: values[whole:] for field, values in run.items()}
    if rest and len(rest[fields[0]]):
        yield rest
