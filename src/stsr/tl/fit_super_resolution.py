"""The main function: learn from the spots and images of sections, and write the high-resolution tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.arguments import GENES, SEED, SWITCH, at_home
from stsr.constants import table_key
from stsr.methods import Training, create
from stsr.methods.model import Model
from stsr.methods.model_file import check_vacant
from stsr.nn.training.device import check_device
from stsr.spatial import labels_to_grid, record
from stsr.spatial.root import local
from stsr.spatial.store import check_name
from stsr.tl.fitting import fit, ready
from stsr.tl.predict import predict

if TYPE_CHECKING:
    from spatialdata import SpatialData


def fit_super_resolution(
    sdata: SpatialData | Sequence[SpatialData],
    *,
    method: str = "cross_attention",
    genes: int | str | Sequence[str] = 1000,
    bin_size: float = 8.0,
    grid: str | None = None,
    encoder: Any = "texture",
    weights: str | Path | None = None,
    features: str | None = None,
    options: Mapping[str, Any] | None = None,
    key_added: str | None = None,
    model_out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    overwrite: bool = False,
) -> Model:
    """Super-resolve a section: fit a method to its spots and image, predict every cell of the grid, write the table.

    Steps that have not been run yet (image calibration, grid, features) are run with their defaults, which is logged.
    Everything is learned from the spots of ``sdata`` alone.

    One model can be trained on several sections of one platform; each gets its own table. The stain of the images is
    normalised by :func:`stsr.pp.calibrate_image`. For training, the counts of each section are scaled to a common median
    library size, the geometric mean over sections, so that sequencing depth does not matter. Methods that need no spots
    where they predict give counts on that common scale; the others give counts on each section's own.

    Parameters
    ----------
    sdata
        A section read by stsr, or a list of them.
    method
        ``"cross_attention"`` or another of :data:`stsr.methods.METHODS`.
    genes
        How many highly variable genes, a list of names, or ``"all"``; see :func:`stsr.pp.select_genes`. Of several
        sections, genes that all have: those that vary most on average over the sections.
    bin_size
        Side of a grid cell in µm; not used when ``grid`` is given.
    grid
        Labels element with the cells to predict; by default that of ``bin_size``.
    encoder
        Image encoder, for methods that use features; see :func:`stsr.pp.extract_features`. Not used when
        ``features`` is given.
    weights
        Weights of the encoder; see :func:`stsr.pp.extract_features`.
    features
        Image element from :func:`stsr.pp.extract_features` or :func:`stsr.pp.add_features`; by default that of
        ``encoder`` on the grid, made again where image or grid have changed since.
    options
        Options of the method, by the names of its config.
    key_added
        Name of the table; ``"sr_008um"`` for cells of 8 µm.
    model_out
        File to save the model to (``.safetensors``), before anything is predicted; see :meth:`stsr.tl.Model.save`. That
        it can be written is checked before the model is fitted, and its folder made.
    seed
        Seed of all random numbers. On a CPU the same seed gives the same result.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress
        Show progress bars.
    overwrite
        Replace a table of that name, the file ``model_out``, and features of other weights under the name that those of
        ``encoder`` have.

    Returns
    -------
    The fitted model, to save or to use on another section with :func:`stsr.tl.predict`, which also describes the table.

    Raises
    ------
    ValueError
        For an unknown method, option, gene or encoder, a table or file that exists, too few spots, or features that are
        not of the image and the grid as they are; for several sections also when they share no gene, or differ in
        the size of spots or cells, or in their encoder or its weights.
    KeyError
        For an element that is not there; the message lists those that are.
    OSError
        When ``model_out`` cannot be written.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=20)
    >>> sdata["sr_008um"].n_vars
    20

    Two sections, one model:

    >>> sections = [stsr.datasets.synthetic_section(size=(700, 700), seed=seed) for seed in (1, 2)]
    >>> model = stsr.tl.fit_super_resolution(sections, method="ridge", genes=20, progress=False)
    >>> [section["sr_008um"].n_vars for section in sections]
    [20, 20]
    """
    from stsr.pp.make_grid import check_bin_size
    from stsr.pp.shared_genes import shared_genes

    fitted = create(method, options)
    genes = GENES("genes", genes)
    bin_size = check_bin_size(bin_size)
    seed = SEED("seed", seed)
    device = check_device(device)
    progress = SWITCH("progress", progress)
    sections = list(sdata) if isinstance(sdata, Sequence) and not isinstance(sdata, str) else [sdata]
    for section in sections:
        record(section)
    if not sections or len({id(section) for section in sections}) < len(sections):
        which = ", some more than once" if sections else ""
        raise ValueError(f"sdata lists {len(sections)} sections{which}; pass one or several, each once.")
    # Checked before minutes of training.
    for section in sections:
        side = bin_size if grid is None or grid not in section.labels else labels_to_grid(section, grid).bin_size
        check_name(section, "tables", key_added or table_key(round(side, 3)), overwrite)
    if model_out is not None:
        _check_model_out(model_out, sections, overwrite)
    genes = shared_genes(sections, genes)
    inputs = [
        ready(
            section,
            fitted,
            bin_size=bin_size,
            grid=grid,
            encoder=encoder,
            weights=weights,
            features=features,
            device=device,
            progress=progress,
            overwrite=overwrite,
        )
        for section in sections
    ]
    model = fit(inputs, fitted, genes, seed=seed, training=Training(device=device, progress=progress))
    if model_out is not None:
        model.save(model_out, overwrite=overwrite)
    for each in inputs:
        predict(
            each.sdata,
            model,
            grid=each.grid,
            features=each.features,
            key_added=key_added,
            device=device,
            progress=progress,
            overwrite=overwrite,
        )
    return model


def _check_model_out(model_out: str | os.PathLike[str], sections: Sequence[SpatialData], overwrite: bool) -> None:
    """Check that the file can be written, and does not lie in the store of a section."""
    stores = [local(section.path) for section in sections if section.is_backed()]
    if isinstance(model_out, str | os.PathLike):
        file = at_home(model_out).absolute()
        if inside := [store for store in stores if store in (file, *file.parents)]:
            raise ValueError(
                f"model_out={str(model_out)!r} lies in the store {str(inside[0])!r}; name a file beside it."
            )
    check_vacant(model_out, overwrite, name="model_out")
