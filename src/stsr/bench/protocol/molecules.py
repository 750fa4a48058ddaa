"""Spots and truth that share no molecule, where a section's spots are sums of the very bins that are its truth."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from stsr.bench.protocol.settings import Setting
from stsr.geometry.spots import catch
from stsr.metrics import noise_ratio, thin
from stsr.spatial import gene_positions, raw_counts

SUMS_BELOW = 0.1
"""Median noise ratio of genes below which spots are sums of the bins: it is 0 for sums, and 1 or more for independent
counts."""


def molecules_apart(
    spots: AnnData,
    truth: AnnData,
    setting: Setting,
    *,
    places: NDArray[np.float64],
    mpp: float,
    diameter: float,
    seed: int,
) -> tuple[AnnData, AnnData]:
    """Split the molecules between spots and truth as a setting asks; spots that were measured apart stay as they are.

    Parameters
    ----------
    spots, truth
        Tables of the spots and of the true bins.
    setting
        Its ``share`` and ``sums_only`` are used.
    places
        (spots, 2) centres in µm.
    mpp
        µm per pixel of the bins' centres.
    diameter
        Of a spot, in µm.
    seed
        Seed of the split.

    Returns
    -------
    The two tables. Genes that the truth lacks are not scored; the spots keep ``share`` of their molecules, so that
    library sizes are right.

    Raises
    ------
    ValueError
        When the setting is for sums only and the spots were measured apart.
    """
    counts = raw_counts(truth, name="truth")
    columns = gene_positions(spots.var_names, list(truth.var_names), where="spots")
    measured = raw_counts(spots, name="spots")
    bins = np.asarray(truth.obsm["spatial"], dtype=np.float64) * mpp
    ratio, _ = noise_ratio(measured[:, columns], under(counts, bins, places, diameter))
    if not np.nanmedian(ratio) < SUMS_BELOW:
        if setting.sums_only:
            raise ValueError(
                "These spots were measured apart from the truth and share no molecule; use the setting truth."
            )
        return spots, truth
    if setting.share is None:
        return spots, truth
    for_spots, for_truth = thin(counts, share=setting.share, seed=seed)
    given, _ = thin(measured, share=setting.share, seed=seed)
    scored = sp.eye_array(spots.n_vars, dtype=np.float32, format="csr")[columns]
    given = given - given @ scored.T @ scored + under(for_spots, bins, places, diameter) @ scored
    return _with(spots, given), _with(truth, for_truth)


def under(
    counts: sp.csr_array, bins: NDArray[np.float64], places: NDArray[np.float64], diameter: float
) -> sp.csr_array:
    """(spots, genes) sums of the bins whose middle a spot covers."""
    return catch(counts, bins, places, diameter, rng=np.random.default_rng(0))


def _with(table: AnnData, counts: sp.sparray) -> AnnData:
    """A table with other counts."""
    other = table.copy()
    other.X = sp.csr_matrix(counts)
    return other
