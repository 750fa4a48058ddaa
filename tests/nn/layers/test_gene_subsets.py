"""With many genes, each training step uses a subset, and every gene is in one."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from stsr.nn.layers.gene_subsets import ALL, GENES_PER_STEP, gene_subset, select_genes


@given(st.integers(1, 3000))
def test_every_gene_is_in_one_subset(genes):
    subsets = -(-genes // GENES_PER_STEP)
    seen = [g for step in range(subsets) for g in range(genes)[gene_subset(genes, step)]]
    assert sorted(seen) == list(range(genes))
    assert len(range(genes)[gene_subset(genes, 0)]) <= GENES_PER_STEP
    assert gene_subset(genes, subsets) == gene_subset(genes, 0)


def test_few_genes_are_all_used():
    assert len(range(GENES_PER_STEP)[gene_subset(GENES_PER_STEP, 5)]) == GENES_PER_STEP


def test_the_library_size_is_in_every_subset():
    values = torch.arange(7)
    assert select_genes(values, slice(1, None, 3)).tolist() == [1, 4, 6]
    assert select_genes(values, ALL).tolist() == values.tolist()
