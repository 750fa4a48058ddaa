"""Whether the spots of a section counted the very molecules of the truth."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.geometry import Aperture, Grid, footprint
from stsr.geometry.footprint import covered_share
from stsr.metrics import noise_ratio
from stsr.spatial import raw_counts

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)

LIMIT = 0.9
"""Noise ratio below which there is a warning: it is that of spots that counted a twentieth of the truth's molecules."""

CLEAR = 6.0
"""Standard errors that the median of genes must lie below 1, too.

Ratios are skew, so that medians lie somewhat below 1. Of independent counts in draws of 12 to 1,000 spots, 1 to 5,000 genes,
mean counts of 0.01 to 20 and spots 0.05 to 20 times as deep as the truth, those of up to 500 genes lay up to 4.6 errors
below. Thousands of genes lay up to 8 below, but all above 0.95.
"""

SPREAD = 20
"""Spots that the counts of a gene must be spread over for it to be asked: fewer make ratios too skew."""

SPOTS = 10_000
"""Spots that are looked at, at most: more would tell nothing new."""


def warn_of_shared_molecules(
    table: AnnData,
    centres: NDArray[np.float64],
    aperture: Aperture,
    *,
    counts: sp.csc_array,
    genes: Sequence[str],
    bins: Grid,
    position: NDArray[np.int64],
) -> None:
    """Warn when the counts of a section's spots and of the truth below them differ less than independent counts would.

    Real differences between the two hide it: of high counts, by which spots differ in efficiency or tissue from section
    to section, nothing is said. Then the noise of counting is not what decides either.

    Parameters
    ----------
    table
        The spots.
    centres, aperture
        (spots, 2) in µm, and what a spot covers.
    counts, genes
        (bins, genes) counts of the truth, and the names of its columns.
    bins, position
        Grid of the truth, and the (bins,) cell of each row.
    """
    place, own = _columns(table, genes)
    rows = np.arange(len(centres))
    if len(rows) > SPOTS:
        rows = np.linspace(0, len(rows) - 1, SPOTS).astype(np.int64)
    try:
        spots = raw_counts(table[rows, place], name="spots")
    except ValueError:  # nothing that was scored needs their counts
        logger.info("The spots' table holds no raw counts, so it was not looked whether they are those of the truth.")
        return
    # A cell lies under a spot when its middle does, as simulated spots are made.
    under = footprint(bins, centres[rows], aperture, subsamples=1)
    whole = covered_share(bins, centres[rows], aperture, under, subsamples=1) == 1
    ratio, error = noise_ratio(spots[whole], under[whole][:, position] @ counts[:, own])
    used = error <= np.sqrt(2 / SPREAD)
    if not used.any():
        return
    # The standard error of a median of normal values is 1.25 times that of their mean.
    median, uncertain = np.median(ratio[used]), 1.2533 * np.median(error[used]) / np.sqrt(used.sum())
    if median < min(LIMIT, 1 - CLEAR * uncertain):
        logger.warning(
            "The spots counted molecules of the truth itself (squared differences are %.2f of those of independent counts, "
            "median of %d genes), so a method that copies the noise of the spots scores for it; make spots and truth that "
            "share no molecule with stsr.pp.simulate_spots(split=0.5).",
            median,
            used.sum(),
        )


def _columns(table: AnnData, genes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the genes that one column of the spots' table has: its place, and that among ``genes``."""
    unique = np.flatnonzero(~table.var_names.duplicated(keep=False))
    found = table.var_names[unique].get_indexer(list(genes))
    own = np.flatnonzero(found >= 0)
    return unique[found[own]], own
