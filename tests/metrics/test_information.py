"""Mutual information and its permutation null against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from stsr.metrics import mutual_information, mutual_information_null

RNG = np.random.default_rng(0)
RATE = RNG.gamma(1.0, 1.0, (400, 5)) * [0.02, 0.2, 1, 5, 50]
COUNTS = RNG.poisson(RATE)
NOISY = RATE * RNG.gamma(3.0, 1.0, RATE.shape)


def bins_of(column, bins):
    """Bins as the docstring puts it."""
    return (bins * (rankdata(column) - 0.5) / len(column)).astype(int)


@pytest.mark.parametrize("bins", [2, 7, 10, 400])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_gene_agrees_with_scikit_learn_on_the_same_bins(bins, dtype):
    prediction = NOISY.astype(dtype)
    expected = [mutual_info_score(bins_of(COUNTS[:, g], bins), bins_of(prediction[:, g], bins)) for g in range(5)]
    np.testing.assert_allclose(mutual_information(COUNTS, prediction, bins=bins), expected, atol=1e-12)


@given(factor=st.floats(0.01, 100), shift=st.floats(-100, 100), bins=st.integers(2, 20))
def test_only_order_matters_and_neither_comes_first(factor, shift, bins):
    expected = mutual_information(COUNTS, NOISY, bins=bins)
    np.testing.assert_allclose(mutual_information(factor * COUNTS + shift, np.sqrt(NOISY), bins=bins), expected)
    np.testing.assert_allclose(mutual_information(NOISY, COUNTS, bins=bins), expected, atol=1e-12)


@given(seed=st.integers(0, 1000), bins=st.integers(2, 20))
def test_it_lies_between_0_and_that_of_the_truth_with_itself(seed, bins):
    shuffled = np.random.default_rng(seed).permutation(NOISY)
    information = mutual_information(COUNTS, shuffled, bins=bins)
    entropy = mutual_information(COUNTS, COUNTS, bins=bins)
    assert (information >= -1e-12).all()
    assert (information <= entropy + 1e-12).all()
    assert (entropy <= np.log(bins) + 1e-12).all()


@pytest.mark.parametrize("rare", [1, 10, 90, 199])
def test_two_values_are_always_told_apart(rare):
    seen = (np.arange(200) < rare)[:, None]
    share = rare / 200
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    np.testing.assert_allclose(mutual_information(seen, seen), entropy)


def test_a_constant_tells_nothing():
    np.testing.assert_array_equal(mutual_information(COUNTS, np.ones_like(COUNTS)), 0)
    null = mutual_information_null(COUNTS, np.ones_like(COUNTS), n_permutations=10)
    np.testing.assert_array_equal(null.p, 1)
    assert np.isnan(null.z).all()


def test_the_mean_of_the_null_is_the_expected_information_of_scikit_learn():
    null = mutual_information_null(COUNTS, NOISY, n_permutations=4000)
    for gene in range(5):
        table = contingency_matrix(bins_of(COUNTS[:, gene], 10), bins_of(NOISY[:, gene], 10), sparse=True)
        np.testing.assert_allclose(null.mean[gene], expected_mutual_information(table, 400), rtol=0.03)


def test_the_null_is_that_of_permuted_cells():
    truth, prediction = COUNTS[:, 2:], NOISY[:, 2:]
    null = mutual_information_null(truth, prediction, n_permutations=4000)
    permuted = [mutual_information(RNG.permutation(truth), prediction) for _ in range(1500)]
    observed = mutual_information(truth, prediction)
    np.testing.assert_allclose(null.mean, np.mean(permuted, axis=0), rtol=0.04)
    np.testing.assert_allclose(null.z, (observed - null.mean) / np.std(permuted, axis=0), rtol=0.1)


def test_p_is_uniform_for_unrelated_maps_and_small_for_related_ones():
    truth, unrelated = RNG.poisson(1.0, (200, 150)), RNG.random((200, 150))
    p = mutual_information_null(truth, unrelated, n_permutations=999).p
    np.testing.assert_allclose(np.quantile(p, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.07)
    np.testing.assert_allclose(mutual_information_null(COUNTS[:, 2:], NOISY[:, 2:], n_permutations=199).p, 1 / 200)


def test_the_seed_decides_and_other_genes_do_not():
    first, again, other = (mutual_information_null(COUNTS, NOISY, n_permutations=50, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first.mean != other.mean).any()
    alone = mutual_information_null(COUNTS[:, 3:], NOISY[:, 3:], n_permutations=50, seed=1)
    np.testing.assert_array_equal(alone.z, first.z[3:])


def test_too_few_bins_and_permutations_are_refused():
    with pytest.raises(ValueError, match="bins=1 must be 2 or more"):
        mutual_information(COUNTS, NOISY, bins=1)
    with pytest.raises(ValueError, match="n_permutations=0 must be 2 or more"):
        mutual_information_null(COUNTS, NOISY, n_permutations=0)
