"""Genes of several sections: shared, and ranked by all of them."""

from __future__ import annotations

import pytest

import stsr
from stsr.pp.select_genes import rank_genes
from stsr.pp.shared_genes import shared_genes


@pytest.fixture(scope="module")
def sections():
    return [stsr.datasets.synthetic_section(size=(700, 700), n_genes=30, seed=seed) for seed in (1, 2)]


def test_one_section_chooses_alone(sections):
    assert shared_genes(sections[:1], 8) == stsr.pp.select_genes(sections[0], 8)


def test_the_best_mean_rank_comes_first(sections):
    orders = [rank_genes(section) for section in sections]
    chosen = shared_genes(sections, 10)

    def mean_rank(gene):
        return sum(order.index(gene) if gene in order else len(order) for order in orders)

    everything = set(orders[0]) | set(orders[1])
    assert [mean_rank(gene) for gene in chosen] == sorted(map(mean_rank, everything))[:10]


def test_only_some_may_be_chosen(sections):
    names = list(sections[0]["table"].var_names)
    assert shared_genes(sections, "all") == names
    assert shared_genes(sections, "all", among=names[4:9]) == names[4:9]
    assert set(shared_genes(sections[:1], 20, among=names[4:9])) <= set(names[4:9])


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (0, "genes=0 is not allowed"),
        ("some", "genes='some' is not allowed"),
        (["PODO1", "PODO1"], "genes lists PODO1 more than once"),
    ],
)
def test_what_is_no_choice_is_refused(sections, genes, message):
    with pytest.raises(ValueError, match=message):
        shared_genes(sections, genes)
