"""A warning when the spots of a section and the truth share molecules, and so their counting noise."""

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
"""Noise ratio below which there is a warning: about that of spots with a twentieth of the truth's molecules,
(1 - 0.05) / (1 + 0.05); see :func:`stsr.metrics.noise_ratio`."""

ERRORS_BELOW = 6.0
"""The median ratio of genes must also lie this many standard errors below 1.

Ratios have a skewed distribution, so that their median lies somewhat below 1 even for independent counts. In simulations of
these with 12 to 1,000 spots, 1 to 5,000 genes, mean counts of 0.01 to 20 and spots with 0.05 to 20 times the counts of the
truth, the median of up to 500 genes lay up to 4.6 standard errors below 1. With thousands of genes it lay up to 8 below, but
always above 0.95.
"""

MEDIAN_ERROR = 1.2533
"""Standard error of the median of normal values over that of their mean: sqrt(pi / 2)."""

MIN_SPOTS = 20
"""Effective number of spots with counts of a gene, from which on the gene is used: with fewer, its ratio is too skewed."""

MAX_SPOTS = 10_000
"""Spots that are compared, at most: more would not change the result."""


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
    """Warn when the counts of a section's spots and of the truth under them differ less than independent counts would.

    Real differences between the two, such as in efficiency or tissue, hide shared molecules where counts are high. Shared
    counting noise then matters little for the scores.

    Parameters
    ----------
    table
        The spots.
    centres, aperture
        (spots, 2) in µm, and the area that a spot covers.
    counts, genes
        (bins, genes) counts of the truth, and the names of its columns.
    bins, position
        Grid of the truth, and the (bins,) cell of each row.
    """
    place, own = _columns(table, genes)
    rows = np.arange(len(centres))
    if len(rows) > MAX_SPOTS:
        rows = np.linspace(0, len(rows) - 1, MAX_SPOTS).astype(np.int64)
    try:
        spots = raw_counts(table[rows, place], name="spots")
    except ValueError:  # the scores do not need them
        logger.info("The spots' table holds no raw counts, so shared molecules of spots and truth cannot be detected.")
        return
    # A cell lies under a spot when its centre does, as for simulated spots.
    under = footprint(bins, centres[rows], aperture, subsamples=1)
    whole = covered_share(bins, centres[rows], aperture, under, subsamples=1) == 1
    ratio, error = noise_ratio(spots[whole], under[whole][:, position] @ counts[:, own])
    used = error <= np.sqrt(2 / MIN_SPOTS)  # the error of counts that are equal in so many spots
    if not used.any():
        return
    median, uncertain = np.median(ratio[used]), MEDIAN_ERROR * np.median(error[used]) / np.sqrt(used.sum())
    if median < min(LIMIT, 1 - ERRORS_BELOW * uncertain):
        logger.warning(
            "The spots counted molecules of the truth itself (squared differences are %.2f of those of independent counts, "
            "median of %d genes), so copying the noise of the spots raises a method's scores; make spots and truth that "
            "share no molecule with stsr.pp.simulate_spots(split=0.5).",
            median,
            used.sum(),
        )


def _columns(table: AnnData, genes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Genes that exactly one column of the spots' table has: position of the column, and of the gene among ``genes``."""
    unique = np.flatnonzero(~table.var_names.duplicated(keep=False))
    found = table.var_names[unique].get_indexer(list(genes))
    own = np.flatnonzero(found >= 0)
    return unique[found[own]], own
