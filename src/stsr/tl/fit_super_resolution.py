"""The main verb: learn from a section's spots and image, and write the high-resolution table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stsr.constants import table_key
from stsr.methods import Training, create
from stsr.methods.model import Model
from stsr.spatial import read_section
from stsr.spatial.store import check_name
from stsr.tl.predict import predict

if TYPE_CHECKING:
    from spatialdata import SpatialData


def fit_super_resolution(
    sdata: SpatialData,
    *,
    method: str = "cross_attention",
    genes: int | str | Sequence[str] = 1000,
    bin_size: float = 8.0,
    grid: str | None = None,
    encoder: Any = "texture",
    features: str | None = None,
    options: Mapping[str, Any] | None = None,
    key_added: str | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    overwrite: bool = False,
) -> Model:
    """Super-resolve a section: fit a method to its spots and image, predict every cell of the grid, write the table.

    Steps that have not been run yet (image calibration, grid, features) are run with their defaults, and the log says
    so. Everything is learned from the spots of ``sdata`` alone.

    Parameters
    ----------
    sdata
        A section read by stsr.
    method
        ``"cross_attention"`` or another of :data:`stsr.methods.METHODS`.
    genes
        How many highly variable genes, a list of names, or ``"all"``; see :func:`stsr.pp.select_genes`.
    bin_size
        Side of a grid cell in µm; not used when ``grid`` is given.
    grid
        Labels element with the cells to predict; by default that of ``bin_size``.
    encoder
        Image encoder, for methods that look at features; see :func:`stsr.pp.extract_features`. Not used when
        ``features`` is given.
    features
        Image element from :func:`stsr.pp.extract_features`; by default that of ``encoder`` on the grid.
    options
        Options of the method, by the names of its config.
    key_added
        Name of the table; ``"sr_008um"`` for cells of 8 µm.
    seed
        Seed of everything random. On a CPU the same seed gives the same result.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress
        Show progress bars.
    overwrite
        Replace a table of that name.

    Returns
    -------
    The fitted model, to save or to use on another section with :func:`stsr.tl.predict`, which also says what the
    table holds.

    Raises
    ------
    ValueError
        For an unknown method, option, gene or encoder, a table that exists, or too few spots.
    KeyError
        For an element that is not there; the message lists those that are.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=20)
    >>> sdata["sr_008um"].n_vars
    20
    """
    from stsr.pp.extract_features import encoder_of, extract_features
    from stsr.pp.make_grid import default_grid
    from stsr.pp.select_genes import select_genes

    fitted = create(method, options)
    # Before minutes of training, not after.
    if grid is None or key_added is not None:
        check_name(sdata, "tables", key_added or table_key(bin_size), overwrite)
    genes = select_genes(sdata, genes)
    grid = default_grid(sdata, grid, bin_size)
    needs = fitted.info.needs
    if "features" not in needs:
        features = None
    elif features is None:
        features = extract_features(sdata, encoder=encoder, grid=grid, device=device, progress=progress)
    section = read_section(sdata, genes=genes, grid=grid, features=features, need_image="image" in needs)
    fitted.fit(section, seed=seed, training=Training(device=device, progress=progress))
    model = Model(
        method=fitted,
        genes=tuple(genes),
        bin_size=round(section.grid.bin_size, 3),
        encoder=None if features is None else encoder_of(sdata, features),
        seed=seed,
    )
    predict(
        sdata,
        model,
        grid=grid,
        features=features,
        key_added=key_added,
        device=device,
        progress=progress,
        overwrite=overwrite,
    )
    return model
