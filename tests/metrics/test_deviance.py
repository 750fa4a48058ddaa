"""Poisson deviance against scikit-learn, negative binomial against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom
from sklearn.metrics import mean_poisson_deviance

from stsr.metrics import deviance, moment_dispersion
from stsr.metrics.deviance import FLOOR

RNG = np.random.default_rng(0)
EXPECTED = RNG.gamma(1.0, 2.0, (300, 4))
COUNTS = RNG.poisson(EXPECTED)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_gene_agrees_with_scikit_learn(dtype):
    reference = [mean_poisson_deviance(COUNTS[:, g], np.maximum(EXPECTED[:, g], FLOOR)) for g in range(4)]
    np.testing.assert_allclose(deviance(COUNTS, EXPECTED.astype(dtype)), reference, rtol=1e-5)


def test_the_counts_themselves_are_perfect_but_for_the_floor_of_the_zeros():
    zeros = (COUNTS == 0).mean(axis=0)
    np.testing.assert_allclose(deviance(COUNTS, COUNTS), 2 * FLOOR * zeros, rtol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_the_right_scale_is_best(factor):
    assert (deviance(COUNTS, EXPECTED * factor) > deviance(COUNTS, EXPECTED)).all()


def test_a_count_where_none_was_expected_costs_the_floor():
    np.testing.assert_allclose(deviance([[1.0]], [[0.0]]), 2 * (np.log(1 / FLOOR) - 1 + FLOOR))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_with_dispersion_it_is_twice_the_likelihood_lost_against_the_counts_themselves(dtype):
    alpha = np.array([0.01, 0.3, 1.0, 20.0])
    size, mu = 1 / alpha, np.maximum(EXPECTED, FLOOR)
    best = nbinom.logpmf(COUNTS, size, size / (size + COUNTS))
    reference = 2 * (best - nbinom.logpmf(COUNTS, size, size / (size + mu))).mean(axis=0)
    np.testing.assert_allclose(deviance(COUNTS, EXPECTED.astype(dtype), dispersion=alpha), reference, rtol=1e-5)


def test_each_gene_has_its_own_dispersion_or_all_share_one():
    alpha = [0.0, 0.5, 0.0, 2.0]
    poisson, half, two = (deviance(COUNTS, EXPECTED, dispersion=a) for a in (0, 0.5, 2.0))
    expected = [poisson[0], half[1], poisson[2], two[3]]
    np.testing.assert_allclose(deviance(COUNTS, EXPECTED, dispersion=alpha), expected)


@given(st.floats(1e-14, 1e-6))
def test_a_small_dispersion_is_nearly_poisson(alpha):
    np.testing.assert_allclose(deviance(COUNTS, EXPECTED, dispersion=alpha), deviance(COUNTS, EXPECTED), rtol=1e-4)


@given(alpha=st.just(0.0) | st.floats(1e-300, 50), factor=st.floats(0.01, 100))
def test_no_prediction_is_better_than_the_counts(alpha, factor):
    best = deviance(COUNTS, COUNTS, dispersion=alpha)
    assert (deviance(COUNTS, factor * EXPECTED, dispersion=alpha) >= best - 1e-12).all()
    assert (best >= 0).all()


def test_a_dispersion_must_be_one_number_a_gene_from_0():
    with pytest.raises(ValueError, match="dispersion=-1 must be 0, which is Poisson, or more"):
        deviance(COUNTS, EXPECTED, dispersion=-1.0)
    with pytest.raises(ValueError, match=r"dispersion \(3,\) must be one number, or one for each of the 4 genes"):
        deviance(COUNTS, EXPECTED, dispersion=np.ones(3))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 2.0])
def test_moments_find_the_dispersion_about_means_that_vary(alpha):
    mean = RNG.gamma(2.0, 2.0, (100_000, 1))
    counts = RNG.negative_binomial(1 / alpha, 1 / (1 + alpha * mean))
    np.testing.assert_allclose(moment_dispersion(counts, mean), alpha, rtol=0.1)
    assert moment_dispersion(counts, counts.mean(axis=0)) > alpha


def test_moments_of_counts_less_spread_than_poisson_are_poissons():
    np.testing.assert_array_equal(moment_dispersion([[2], [2], [3]], [7 / 3]), 0)
    assert np.isnan(moment_dispersion([[0], [0]], [0])).all()
    with pytest.raises(ValueError, match=r"counts \(300, 4\) and expected \(3,\) must be"):
        moment_dispersion(COUNTS, np.ones(3))
