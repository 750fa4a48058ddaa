"""Counts as shares, as logarithms, between 0 and 1, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from toys.section import toy_section

from stsr.methods.shared.targets import MinMax, gene_factor, log2_counts, log_normalised, shares, standard

SECTION = toy_section().section
COUNTS = SECTION.counts.toarray()


def test_faithful_is_scikit_learns():
    from sklearn.preprocessing import MinMaxScaler

    scale = MinMax.learn(SECTION, faithful=True)
    np.testing.assert_allclose(scale.scaled(SECTION), MinMaxScaler().fit_transform(COUNTS), atol=1e-6)


def test_by_default_zero_stays_zero():
    scale = MinMax.learn(SECTION, faithful=False)
    np.testing.assert_allclose(scale.scaled(SECTION), COUNTS / COUNTS.max(axis=0), rtol=1e-6)


def test_the_cells_of_a_disc_add_up_to_the_spot():
    for faithful in (False, True):
        scale = MinMax.learn(SECTION, faithful=faithful)
        cells = scale.counts(scale.scaled(SECTION))
        assert cells.dtype == np.float32
        np.testing.assert_allclose(cells * SECTION.spot_cells, COUNTS, rtol=1e-4, atol=1e-3)


def test_a_gene_without_counts_scales_to_zero():
    empty = replace(SECTION, counts=sp.csr_array(np.zeros_like(COUNTS)))
    assert (MinMax.learn(empty, faithful=True).scaled(empty) == 0).all()


def test_it_is_kept_as_arrays():
    scale = MinMax.learn(SECTION, faithful=True)
    again = MinMax.of(scale.arrays)
    np.testing.assert_array_equal(again.counts(scale.scaled(SECTION)), scale.counts(scale.scaled(SECTION)))


def test_logarithms_are_scanpys():
    import scanpy as sc
    from anndata import AnnData

    whole = replace(SECTION, library=COUNTS.sum(axis=1, dtype=np.float64))  # scanpy knows no other genes
    table = AnnData(COUNTS.copy())
    sc.pp.normalize_total(table, target_sum=1e4)
    sc.pp.log1p(table)
    np.testing.assert_allclose(log_normalised(whole, 1e4), table.X, rtol=1e-5)
    two = AnnData(COUNTS.copy())
    sc.pp.log1p(two, base=2)
    np.testing.assert_allclose(log2_counts(whole), two.X, rtol=1e-5)


def test_shares_are_of_the_whole_library_and_a_spot_without_counts_has_none():
    np.testing.assert_allclose(shares(SECTION), COUNTS / SECTION.library[:, None], rtol=1e-6)
    empty = replace(SECTION, counts=SECTION.counts * 0, library=SECTION.library * 0)
    assert (shares(empty) == 0).all()
    assert (log_normalised(empty, 1e4) == 0).all()


def test_the_gene_factor_makes_totals_equal():
    predicted = np.linspace(1, 9, COUNTS.shape[1])
    factor = gene_factor(COUNTS.sum(axis=0), predicted)
    np.testing.assert_allclose(factor * predicted, COUNTS.sum(axis=0))
    assert gene_factor(np.array([5.0]), np.array([0.0]), most=3.0) == 3


def test_standardised_expression_has_no_tiny_divisor_and_as_published_none():
    values = np.column_stack([COUNTS[:, 0], np.full(len(COUNTS), 4.0)]).astype(np.float32)
    ours, published = (standard(values, faithful=faithful) for faithful in (False, True))
    np.testing.assert_allclose(ours["centre"], values.mean(axis=0))
    np.testing.assert_allclose(ours["spread"], [values[:, 0].std(), 1e-3])
    assert (published["centre"] == 0).all()
    assert (published["spread"] == 1).all()
