"""Molecule counts of a synthetic tissue: programs per cell type, then negative-binomial counts per bin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.datasets._tissue import CELL_TYPES, GLASS, PROXIMAL_A, PROXIMAL_B, Tissue, smooth_field

SYMBOLS = ("PODO", "ENDO", "PTUA", "PTUB", "DTUB", "CDUC", "FIBR", "IMMU")
"""First letters of each cell type's marker genes, in the order of ``CELL_TYPES``."""

MARKERS = 3
"""Marker genes of each cell type."""

CONTENT = np.array([1.0, 0.7, 1.3, 1.3, 1.1, 0.9, 0.5, 0.7])
"""RNA per area of each cell type."""

AMBIENT = 0.04
"""Share of the molecules that have drifted anywhere in the tissue."""

DISPERSION = 0.15
"""Negative-binomial overdispersion: variance = mean + DISPERSION x mean²."""

BAND = 50_000
"""Bins drawn at a time, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Programs:
    """What each cell type expresses.

    Parameters
    ----------
    genes
        Gene names: markers first (``PODO1``, ``ENDO1``, ...), then ``GENE001``, ...
    marker_of
        (genes,) the cell type a gene marks, ``""`` for most.
    share
        (cell types, genes) share of each gene in the RNA of a type; rows add up to 1.
    drift
        (genes,) how strongly each gene follows a smooth field that no image shows.
    """

    genes: tuple[str, ...]
    marker_of: tuple[str, ...]
    share: NDArray[np.float32]
    drift: NDArray[np.float32]


def make_programs(n_genes: int, seed: np.random.SeedSequence) -> Programs:
    """Draw log-normal gene programs; half of the genes at most are markers."""
    rng = np.random.default_rng(seed)
    n_types = len(CELL_TYPES)
    n_markers = min(n_genes // 2, MARKERS * n_types)
    kind = np.arange(n_markers) % n_types
    genes = [f"{SYMBOLS[k]}{i // n_types + 1}" for i, k in enumerate(kind)]
    genes += [f"GENE{i + 1:03d}" for i in range(n_genes - n_markers)]

    level = rng.lognormal(0, 1.0, n_genes)
    fold = rng.lognormal(0, 0.5, (n_types, n_genes))
    fold[PROXIMAL_B] = fold[PROXIMAL_A]
    level[:n_markers] = rng.lognormal(-1.2, 0.3, n_markers)
    fold[:, :n_markers] = np.where(np.arange(n_types)[:, None] == kind, 16.0, 0.3)
    share = level * fold

    drift = np.where(rng.random(n_genes) < 0.2, rng.choice([-0.7, 0.7], n_genes), 0.0)
    drift[:n_markers] = 0
    marker_of = [CELL_TYPES[k] for k in kind] + [""] * (n_genes - n_markers)
    return Programs(
        tuple(genes),
        tuple(marker_of),
        (share / share.sum(axis=1, keepdims=True)).astype(np.float32),
        drift.astype(np.float32),
    )


def count_bins(
    tissue: Tissue, block: int, programs: Programs, mean_total: float, seed: np.random.SeedSequence
) -> tuple[NDArray[np.bool_], sp.csr_array, NDArray[np.float32]]:
    """Count the molecules in bins of ``block x block`` fine pixels.

    Returns
    -------
    mask
        (rows, cols) bins at least half of which is tissue.
    counts
        (bins in mask, genes) whole numbers as float32, ``mean_total`` molecules a bin on average.
    composition
        (bins in mask, cell types) RNA that each cell type gives to a bin, in arbitrary units.
    """
    rng = np.random.default_rng(seed)
    rows, cols = (n // block for n in tissue.structure.shape)
    glass = (tissue.structure == GLASS).reshape(rows, block, cols, block).mean(axis=(1, 3))
    mask = glass <= 0.5
    depth = np.exp(0.3 * smooth_field(rng, mask.shape, tissue.pixel * block, 350.0))[mask]
    hidden = smooth_field(rng, mask.shape, tissue.pixel * block, 500.0)[mask]

    activity = CONTENT[tissue.kind] * rng.lognormal(0, 0.35, len(tissue.kind))
    fine = np.flatnonzero(tissue.owner >= 0)
    cell = tissue.owner.ravel()[fine]
    row, col = np.divmod(fine, tissue.owner.shape[1])
    composition = np.zeros((rows * cols, len(CELL_TYPES)), dtype=np.float32)
    np.add.at(composition, ((row // block) * cols + col // block, tissue.kind[cell]), activity[cell])
    composition = composition[mask.ravel()]

    signal = (1 - AMBIENT) * composition + AMBIENT * composition.mean(axis=0)
    signal *= depth[:, None]
    signal *= mean_total / signal.sum(axis=1).mean()
    counts = []
    for start in range(0, len(signal), BAND):
        some = slice(start, start + BAND)
        mean = signal[some] @ programs.share * np.exp(hidden[some, None] * programs.drift)
        counts.append(sp.csr_array(rng.poisson(rng.gamma(1 / DISPERSION, DISPERSION * mean)).astype(np.float32)))
    return mask, sp.csr_array(sp.vstack(counts)), composition
