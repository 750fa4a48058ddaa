"""Pearson and Spearman against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stsr.metrics import pearson, spearman

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(1.5, (200, 5))
NOISY = COUNTS + RNG.normal(0, 1, COUNTS.shape)


@pytest.mark.parametrize(("score", "reference"), [(pearson, stats.pearsonr), (spearman, stats.spearmanr)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_gene_agrees_with_scipy(score, reference, dtype):
    expected = [reference(COUNTS[:, g], NOISY[:, g].astype(dtype)).statistic for g in range(5)]
    np.testing.assert_allclose(score(COUNTS, NOISY.astype(dtype)), expected, atol=1e-6)


@pytest.mark.parametrize("score", [pearson, spearman])
def test_constant_genes_have_no_correlation(score):
    flat = np.full((200, 5), 0.1)
    mixed = np.where(np.arange(5) == 2, flat, NOISY)
    for first, second in ((COUNTS, mixed), (mixed, COUNTS)):
        np.testing.assert_array_equal(np.isnan(score(first, second)), np.arange(5) == 2)


@pytest.mark.parametrize("score", [pearson, spearman])
@given(factor=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_scale_and_offset_do_not_matter(score, factor, shift):
    np.testing.assert_allclose(score(COUNTS, factor * NOISY + shift), score(COUNTS, NOISY), atol=1e-8)


def test_spearman_sees_order_alone():
    np.testing.assert_allclose(spearman(COUNTS, np.exp(COUNTS)), 1)
    assert (pearson(COUNTS, np.exp(COUNTS)) < 0.95).all()


def test_float32_survives_many_cells_far_from_zero():
    values = 1000 + RNG.normal(0, 1, (300_000, 1))
    other = values + RNG.normal(0, 1, values.shape)
    exact = stats.pearsonr(values[:, 0], other[:, 0]).statistic
    np.testing.assert_allclose(pearson(values.astype(np.float32), other.astype(np.float32)), exact, atol=1e-4)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"truth \(200, 5\) and prediction \(200, 4\) must be \(cells, genes\)"):
        pearson(COUNTS, NOISY[:, :4])
