"""Score a super-resolved table against a measured high resolution."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.arguments import NAME
from stsr.constants import ARRAY_COL, ARRAY_ROW
from stsr.geometry import Aperture, Grid
from stsr.geometry.resample import resample
from stsr.metrics import block_operator, noise_ceiling, thin
from stsr.metrics.by_name import STANDARD, check_metrics, score_columns
from stsr.options import Items, Number, Switch, Whole
from stsr.spatial import (
    gene_positions,
    raw_counts,
    read_columns,
    read_spots,
    record,
    spots_table,
)
from stsr.spatial.bins import bin_grid, table_grid
from stsr.spatial.units import check_counts
from stsr.tl._reading import batches
from stsr.tl._shared_noise import warn_of_shared_molecules

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

DEFAULT_SCALES = (8.0, 16.0, 32.0, 56.0)
"""Default scales in µm; 56 is about the diameter of a Visium spot."""

MIN_BLOCKS = 3
"""Blocks that a correlation needs, at least."""

SCALE_TOLERANCE = 0.05
"""Relative difference between a scale and a whole number of bins, at most."""

WHOLLY = 0.999
"""Share of a bin that the prediction's grid must cover; less than 1 because of rounding."""


def evaluate(
    sdata: SpatialData,
    table: str = "sr_008um",
    *,
    truth: AnnData,
    layer: str | None = None,
    scales: Sequence[float] | None = None,
    metrics: Sequence[str] = STANDARD,
    ceiling: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """Score every gene of a super-resolved table against true counts of small bins.

    Prediction and truth are compared on the truth's own bins, and on sums over square blocks of them at coarser scales.
    A prediction on another grid is moved onto the bins by area, each cell's counts spread evenly over it. Only bins that
    the prediction's grid covers wholly are scored; the number of the others is logged.

    A warning is logged when spots and truth share molecules, as simulated spots may: they then share the noise of counting,
    and copying it from the spots raises a method's scores. This is detected from the counts
    (:func:`stsr.metrics.noise_ratio`).

    Parameters
    ----------
    sdata
        The section with the table.
    table
        Name of a table from :func:`stsr.tl.fit_super_resolution`: expected counts per cell.
    truth
        Raw counts of square bins of the same section, for instance a Visium HD table: ``obs["array_row"]``,
        ``obs["array_col"]``, and ``obsm["spatial"]`` in pixels of the full-resolution image.
    layer
        Layer of the table with the expected counts, where ``X`` holds something else; ``X`` when None.
    scales
        Sides of the blocks in µm, whole multiples of the truth's bin. Blocks with fewer than 90 % of their bins are left
        out. When None, those of 8, 16, 32 and 56 that are multiples of the bin; or one, two and four bins when none is.
    metrics
        Names of the scores, which are those of their functions in ``stsr.metrics``: any of ``"pearson"``,
        ``"spearman"``, ``"rmse"``, ``"ssim"``, ``"deviance"``, ``"mae"``, ``"mse"``, ``"nrmse"``,
        ``"jensen_shannon"``, ``"auc"`` and ``"mutual_information"``. Those that rank the bins take most of the time.
    ceiling
        Also compute the noise ceiling.
    seed
        Seed of the ceiling's random split of the counts.

    Returns
    -------
    One row for each gene that both tables have, each scale and each kind of place, with the columns

    ``gene``, ``scale_um``
        The gene, and the side of the blocks in µm.
    ``where``
        ``"all"`` blocks; those ``"under"`` a spot, whose centre the spot covers, and those ``"between"``.
        Blocks wider than a spot's radius (27.5 µm for Visium) are mostly partly under it, so they only have ``"all"``, as
        have all blocks of a section without spots.
    ``pearson``, ...
        A column for each of ``metrics``, of the counts as they are; ``rmse`` and ``ssim`` after scaling both to 0 to 1.
        ``ssim`` compares whole maps, so it is NaN except for ``"all"``.
    ``ceiling``
        :func:`stsr.metrics.noise_ceiling` of ``pearson``; NaN when not asked for.

    Scores are NaN where the truth or the prediction of a gene is constant; a warning gives the number of these genes.

    Raises
    ------
    KeyError
        When ``table`` or ``layer`` is not there; the message lists what is.
    ValueError
        When the table was normalised or logged, ``truth`` has no gene of the table, no raw counts or no regular bins, when it lies beside the table's grid,
        when a scale is no multiple of its bin, or for an unknown metric.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=20)
    >>> scores = stsr.tl.evaluate(sdata, "sr_008um", truth=sdata["truth_008um"], scales=(8, 32))
    >>> scores.groupby(["scale_um", "where"])["gene"].count()
    scale_um  where
    8.0       all        20
              between    20
              under      20
    32.0      all        20
    Name: gene, dtype: int64
    """
    import pandas as pd

    check_metrics(metrics)
    ceiling, seed = Switch()("ceiling", ceiling), Whole(0, 2**32 - 1)("seed", seed)
    asked = None if scales is None else _check_scales(scales)
    facts = record(sdata)
    grid, rows = table_grid(sdata, NAME("table", table))
    check_counts(sdata.tables[table], table, layer=layer)
    bins, position = bin_grid(truth, facts.mpp, name="truth")
    factors = _default_factors(bins.bin_size) if asked is None else _factors(asked, bins.bin_size)
    genes = _shared_genes(sdata.tables[table], truth, table)
    to_bins, covered = _onto_bins(grid, rows, bins, position)

    columns = gene_positions(truth.var_names, genes, where="truth")
    counts = sp.csc_array(raw_counts(truth[:, columns], name="truth"))
    spots = None if facts.table is None else read_spots(sdata)
    if spots is not None:
        warn_of_shared_molecules(spots_table(sdata), *spots, counts=counts, genes=genes, bins=bins, position=position)
    counts = counts[covered]
    halves = thin(counts, seed=seed) if ceiling else None

    rowcol = truth.obs[[ARRAY_ROW, ARRAY_COL]].to_numpy()[covered]
    xy = bins.xy[position[covered]]
    places = [_place(rowcol, xy, scale, factor, spots) for scale, factor in factors.items()]
    places = _with_blocks(places, must=asked is not None)

    frames = []
    for batch in batches(len(genes), counts.shape[0]):
        expected = to_bins @ read_columns(sdata, table, genes[batch], layer=layer).astype(np.float32, copy=False)
        fine = [expected, *(matrix[:, batch].toarray() for matrix in (counts, *(halves or ())))]
        for place in places:
            prediction, true, *split = (place.operator @ values for values in fine)
            for where, chosen in place.parts.items():
                raster = place.rowcol if where == "all" else None
                columns_of = score_columns(true[chosen], prediction[chosen], metrics, rowcol=raster)
                columns_of["ceiling"] = noise_ceiling(*(half[chosen] for half in split)) if split else np.nan
                frames.append(
                    pd.DataFrame({"gene": genes[batch], "scale_um": place.scale, "where": where, **columns_of})
                )
    scores = pd.concat(frames, ignore_index=True)
    order = {gene: number for number, gene in enumerate(genes)}
    scores = scores.sort_values("gene", key=lambda g: g.map(order), kind="stable", ignore_index=True)
    _warn_of_undefined(scores)
    return scores


@dataclass(frozen=True)
class _Place:
    """Blocks of one scale: the operator that sums bins, row and column of the blocks, and those of each kind of place."""

    scale: float
    operator: sp.csr_array
    rowcol: NDArray[np.int64]
    parts: dict[str, Any]


def _place(
    rowcol: NDArray[np.int64],
    xy: NDArray[np.float64],
    scale: float,
    factor: int,
    spots: tuple[NDArray[np.float64], Aperture] | None,
) -> _Place:
    from scipy.spatial import cKDTree

    operator, blocks = block_operator(rowcol, factor)
    parts: dict[str, Any] = {"all": slice(None)}
    if spots is not None and scale <= spots[1].reach:
        centres, aperture = spots
        middle = operator @ xy / operator.sum(axis=1)[:, None]
        under = aperture.covers(middle - centres[cKDTree(centres).query(middle)[1]])
        parts |= {name: part for name, part in (("under", under), ("between", ~under)) if part.any()}
    return _Place(float(scale), operator, blocks, parts)


def _with_blocks(places: list[_Place], *, must: bool) -> list[_Place]:
    """The scales with enough blocks to compare; with ``must``, an error when any has too few."""
    few = [place for place in places if len(place.rowcol) < MIN_BLOCKS]
    if few and (must or len(few) == len(places)):
        raise ValueError(
            f"scales={few[0].scale:g} leaves {len(few[0].rowcol)} whole blocks of the truth; leave that scale out, or pass a "
            "truth of more tissue."
        )
    if few:
        logger.info(
            "Scales that are not scored, since the truth has too few such blocks: %s µm.",
            ", ".join(f"{f.scale:g}" for f in few),
        )
    return [place for place in places if len(place.rowcol) >= MIN_BLOCKS]


def _check_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Check the scales."""
    asked: tuple[float, ...] = Items(Number(1e-3, 1e5))("scales", scales)
    if len(set(asked)) < len(asked):
        raise ValueError(f"scales={list(asked)} names a scale twice; name each once.")
    return asked


def _default_factors(bin_size: float) -> dict[float, int]:
    """Bins to a block's side: for the default scales that are multiples of the bin, or else for one, two and four bins."""
    usual = {scale: round(scale / bin_size) for scale in DEFAULT_SCALES if _fits(scale, bin_size)}
    return usual or {round(times * bin_size, 3): times for times in (1, 2, 4)}


def _fits(scale: float, bin_size: float) -> bool:
    factor = round(scale / bin_size)
    return factor >= 1 and abs(factor * bin_size / scale - 1) <= SCALE_TOLERANCE


def _factors(scales: Sequence[float], bin_size: float) -> dict[float, int]:
    """Bins to a block's side, for each scale."""
    factors = {float(scale): round(scale / bin_size) for scale in scales}
    for scale in factors:
        if not _fits(scale, bin_size):
            raise ValueError(
                f"scales={scale:g} µm is no whole multiple of the truth's bin of {bin_size:.3g} µm; pass multiples of it."
            )
    return factors


def _shared_genes(predicted: AnnData, truth: AnnData, table: str) -> list[str]:
    """Genes of both, in the order of the prediction."""
    known = set(truth.var_names)
    genes = [gene for gene in predicted.var_names if gene in known]
    if not genes:
        raise ValueError(
            f"truth shares no gene with table={table!r} ({truth.var_names[0]!r} against {predicted.var_names[0]!r}); "
            "use the same kind of gene names in both."
        )
    if left_out := predicted.n_vars - len(genes):
        logger.warning("%d of %d genes of %s are not in the truth and get no score.", left_out, predicted.n_vars, table)
    return genes


def _onto_bins(
    grid: Grid, rows: NDArray[np.int64], bins: Grid, position: NDArray[np.int64]
) -> tuple[sp.csr_array, NDArray[np.bool_]]:
    """Operator from rows of the prediction to covered rows of the truth, and (truth rows,) whether each is covered."""
    present = sp.csr_array(
        (np.ones(len(rows), dtype=np.float32), (rows, np.arange(len(rows)))), shape=(grid.n_cells, len(rows))
    )
    operator = (resample(grid, bins) @ present)[position]
    whole = (bins.bin_size / grid.bin_size) ** 2
    covered = operator.sum(axis=1) > WHOLLY * whole
    if not covered.any():
        raise ValueError("truth lies beside the table's grid; obsm['spatial'] must be in full-resolution pixels.")
    logger.info("%d of %d bins of the truth are not covered by the grid.", (~covered).sum(), len(covered))
    return sp.csr_array(operator[covered]), covered


def _warn_of_undefined(scores: pd.DataFrame) -> None:
    """Warn of genes without a correlation, since means over genes leave them out."""
    if "pearson" not in scores:
        return
    undefined = scores[scores["pearson"].isna() & (scores["where"] == "all")]
    for scale, genes in undefined.groupby("scale_um")["gene"]:
        logger.warning(
            "%d genes have no correlation at %g µm, their truth or prediction is constant: %s.",
            len(genes),
            scale,
            ", ".join(genes.head(5)),
        )
