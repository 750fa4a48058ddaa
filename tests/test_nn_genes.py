"""Of many genes each step of training looks at some, and every gene has its turn."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from stsr.nn.layers.gene_subsets import ALL, AT_ONCE, some, turn_of


@given(st.integers(1, 3000))
def test_every_gene_has_one_turn(genes):
    turns = -(-genes // AT_ONCE)
    seen = [g for step in range(turns) for g in range(genes)[turn_of(genes, step)]]
    assert sorted(seen) == list(range(genes))
    assert len(range(genes)[turn_of(genes, 0)]) <= AT_ONCE
    assert turn_of(genes, turns) == turn_of(genes, 0)


def test_few_genes_are_all_looked_at():
    assert len(range(AT_ONCE)[turn_of(AT_ONCE, 5)]) == AT_ONCE


def test_the_library_size_is_always_among_them():
    values = torch.arange(7)
    assert some(values, slice(1, None, 3)).tolist() == [1, 4, 6]
    assert some(values, ALL).tolist() == values.tolist()
