"""Genes batch after batch, where a table is read column by column."""

from __future__ import annotations

from collections.abc import Iterator

BATCH_VALUES = 2**23
"""Values of a dense (bins, genes) matrix held at a time: 32 MB as float32."""


def batches(n_genes: int, n_bins: int) -> Iterator[slice]:
    """Runs of genes whose values in all bins may be held at a time."""
    size = max(1, BATCH_VALUES // n_bins)
    return (slice(start, start + size) for start in range(0, n_genes, size))
