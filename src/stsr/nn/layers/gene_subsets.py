"""Gene subsets: with many genes, each training step uses only some of them, which keeps the largest products small."""

from __future__ import annotations

import torch
from torch import Tensor

GENES_PER_STEP = 512
"""Largest number of genes that a training step uses."""

ALL = slice(None)
"""All genes."""


def gene_subset(genes: int, step: int) -> slice:
    """The subset used at a training step; successive steps cycle through subsets of nearly equal size."""
    subsets = -(-genes // GENES_PER_STEP)
    return slice(step % subsets, None, subsets)


def select_genes(values: Tensor, genes: slice) -> Tensor:
    """The columns of a gene subset from (..., g + 1) values, and the last column, the library size."""
    return torch.cat([values[..., :-1][..., genes], values[..., -1:]], dim=-1)
