"""Check whether the image fits the counts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import SEED
from stsr.geometry import Aperture, Square, cell_lookup, nearest_pitch
from stsr.imaging.registration import MIN_POINTS, STEP, block_maps
from stsr.imaging.similarity import fit_similarity
from stsr.options import Number
from stsr.pp.registration import Registration, registration_of
from stsr.spatial import raw_counts, read_raster, record, spot_aperture, spot_positions, spots_record, spots_table
from stsr.spatial.bins import rows_grid

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from stsr.spatial import Record

logger = logging.getLogger(__name__)

FINEST = 8.0
"""Smaller bins, in µm, are joined: each has too few counts for a logarithm."""

SUBSAMPLES = 5
"""Points across a pixel at which its coverage by a spot is measured."""


def register_check(
    sdata: SpatialData,
    *,
    table: str | None = None,
    window: float | None = None,
    reach: float = 120.0,
    seed: int = 0,
) -> Registration:
    """Measure the displacement between the counts of a section and its image.

    Counts and density of nuclei are correlated, positively or negatively, and most strongly in the right position. The
    section is cut into blocks. In each, the logarithm of the total counts is correlated with the haematoxylin under the
    spots (or bins), for every shift up to ``reach``. One shift, rotation and scale is fitted to all blocks together by
    maximum likelihood, so that a block without structure has no influence. Nothing in ``sdata`` is changed.

    The haematoxylin is taken from the image as it was read, in its own colours.

    Parameters
    ----------
    sdata
        A section read by stsr.
    table
        Where the raw counts come from: the section's own table when None, or any other that annotates a grid. Bins
        below 8 µm are joined to squares of about 8.
    window
        Side of a block in µm. By default 1000, less where the section would have fewer than three blocks each way, and
        at least six spots across.
    reach
        Largest tested shift in µm, along each axis.
    seed
        Seed of the resampling behind ``error_um``.

    Returns
    -------
    The result, for :func:`stsr.pl.registration` to draw. The log warns when any block is off by more than the radius of
    a spot, and when the result is not reliable.

    Raises
    ------
    KeyError
        When ``table`` is not in ``sdata``; the message lists what is.
    ValueError
        When ``table`` annotates no grid or does not hold raw counts, the section has neither spots nor ``table``,
        ``window`` or ``reach`` is out of range, or no block has 20 spots.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(1200, 1200), seed=0)
    >>> check = stsr.pp.register_check(sdata, table="truth_008um", window=600)
    >>> check.largest_um < 8
    True
    >>> check.reliable
    True
    """
    facts = record(sdata)
    table = table or spots_record(sdata).table
    seed = SEED("seed", seed)
    reach = Number(2 * STEP, 1000)("reach", reach)
    window = Number(1, 1e5, optional=True)("window", window)
    if table not in sdata.tables:
        raise KeyError(f"table={table!r} not found; sdata holds the tables {', '.join(sdata.tables) or 'none'}.")
    xy, totals, aperture = _measured(sdata, facts, table)
    window = _default_window(xy) if window is None else window
    if not window > 2 * aperture.reach:
        raise ValueError(f"window={window:g} µm is no wider than a spot, {2 * aperture.reach:.3g} µm; 1000 is usual.")

    image = read_raster(sdata, facts.image)
    blocks = block_maps(image, xy, np.log1p(totals), _kernel(aperture), window=window, reach=reach)
    if not len(blocks.xy):
        raise ValueError(
            f"window={window:g} µm holds {MIN_POINTS} spots of different counts on tissue nowhere; pass a wider one, and check "
            f"that the image {facts.image!r} is the H&E."
        )
    fit, error = fit_similarity(blocks, seed=seed)
    check = registration_of(blocks, fit, error, radius=aperture.reach, reach=reach)
    _log_result(check, table)
    return check


def _measured(
    sdata: SpatialData, facts: Record, table: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], Aperture]:
    """(points, 2) centres in µm of spots, or of squares of small bins; (points,) total counts; and what one covers."""
    rows = spots_table(sdata) if table == facts.table else sdata.tables[table]
    totals = raw_counts(rows, name=table).sum(axis=1, dtype=np.float64)
    if table == facts.table and facts.spots in sdata.shapes:
        known = spots_record(sdata)
        return spot_positions(sdata, rows, known), totals, spot_aperture(sdata, known)
    grid, cells = rows_grid(sdata, rows, name=table)
    coarse = grid.pooled(max(1, round(FINEST / grid.bin_size)))
    there, within = np.unique(cell_lookup(coarse, grid.xy[cells]), return_inverse=True)
    return coarse.xy[there], np.bincount(within, totals).astype(np.float64), Square.of(coarse)


def _default_window(xy: NDArray[np.float64]) -> float:
    """Side of a block in µm: see :func:`register_check`."""
    return max(6 * nearest_pitch(xy), min(1000.0, float(np.ptp(xy, axis=0).min()) / 3))


def _kernel(aperture: Aperture) -> NDArray[np.float64]:
    """(rows, cols) share of the pixels around a spot that it covers."""
    reach = int(np.ceil(aperture.reach / STEP))
    side = 2 * reach + 1
    steps = ((np.arange(side * SUBSAMPLES) + 0.5) / SUBSAMPLES - reach - 0.5) * STEP
    points = np.stack(np.meshgrid(steps, steps), axis=-1)
    return aperture.covers(points).reshape(side, SUBSAMPLES, side, SUBSAMPLES).mean(axis=(1, 3))


def _log_result(check: Registration, table: str) -> None:
    """Log the result, and warn of what is wrong with it."""
    logger.info(
        "%s fits the image best when moved by (%.1f, %.1f) µm, turned by %.2f° and scaled by %.4f: correlation %.2f, "
        "blocks are off by up to %.1f ± %.1f µm.",
        table,
        *check.shift_um,
        check.rotation,
        check.scale,
        check.correlation,
        check.largest_um,
        check.error_um,
    )
    if not check.reliable:
        logger.warning(
            "Whether %s fits the image cannot be decided: %d of %d blocks have a clear shift, and that of all varies by %.0f "
            "µm; the section shows too little structure, or try a wider window or reach.",
            table,
            check.blocks["clear"].sum(),
            len(check.blocks),
            check.error_um,
        )
    elif check.largest_um > check.radius_um:
        logger.warning(
            "%s does not fit the image: it is off by up to %.0f µm, more than the %.3g µm from the centre of a spot to "
            "its edge; look at stsr.pl.registration and check the image or its alignment.",
            table,
            check.largest_um,
            check.radius_um,
        )
