"""Batches of genes, to read a table column by column."""

from __future__ import annotations

from collections.abc import Iterator

BATCH_VALUES = 2**23
"""Values of a dense (bins, genes) matrix held at a time: 32 MB as float32."""


def batches(n_genes: int, n_bins: int) -> Iterator[slice]:
    """Slices of genes whose values in all bins fit in one batch."""
    size = max(1, BATCH_VALUES // n_bins)
    return (slice(start, start + size) for start in range(0, n_genes, size))
