"""The noise ratio against what is known of binomial, hypergeometric and Poisson counts."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from stsr.metrics import noise_ratio

RNG = np.random.default_rng(0)


def rates(spots, genes, mean=5.0):
    return mean * RNG.gamma(1.0, 1.0, (spots, genes))


def test_the_formula_written_out():
    spots, sums = RNG.poisson(3.0, (2, 30, 4))
    ratio, error = noise_ratio(spots, sums)
    for gene in range(4):
        x, y = spots[:, gene], sums[:, gene]
        k, n = x.sum() / y.sum(), x + y
        fitted = (n.sum() - (n**2).sum() / n.sum()) / (n.sum() - 1)
        assert ratio[gene] == pytest.approx(((x - k * y) ** 2).sum() / (x + k**2 * y).sum() / fitted)
        assert error[gene] == pytest.approx(np.sqrt(2 * (n**2).sum()) / n.sum())


@pytest.mark.parametrize("both", [[3, 2, 1], [4, 1, 0], [2, 2, 2]])
@pytest.mark.parametrize("first", [1, 2, 4])
def test_the_expectation_of_independent_counts_is_1_to_the_last_digit(both, first):
    """Over all ways to deal the counts of a few spots to the two measurements, as likely as they are."""
    mean = whole = 0.0
    for x in product(*(range(n + 1) for n in both)):
        if sum(x) == first:
            ways = np.prod([comb(n, part) for n, part in zip(both, x, strict=True)])
            spots = np.array(x)[:, None]
            mean += ways * noise_ratio(spots, np.array(both)[:, None] - spots)[0][0]
            whole += ways
    assert whole == comb(sum(both), first)
    assert mean / whole == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("depth", [0.1, 1.0, 8.0])
@pytest.mark.parametrize("mean", [0.05, 5.0])
def test_independent_counts_scatter_about_1_by_the_error(depth, mean):
    rate = rates(400, 1500, mean)
    ratio, error = noise_ratio(RNG.poisson(depth * rate), RNG.poisson(rate))
    known = np.isfinite(ratio)
    z = (ratio[known] - 1) / error[known]
    assert abs(z.mean()) < 0.12  # standard error .026; ratios are skew
    assert z.std() < 1.1
    if mean * depth > 1:
        assert z.std() > 0.9


@pytest.mark.parametrize("share", [1.0, 0.6, 0.1])
@pytest.mark.parametrize("mean", [0.1, 30.0])
def test_a_share_of_the_same_molecules(share, mean):
    sums = RNG.poisson(rates(2000, 100, mean))
    ratio, _ = noise_ratio(RNG.binomial(sums, share), sums)
    assert np.nanmean(ratio) == pytest.approx((1 - share) / (1 + share), abs=0.02)


def test_of_two_measurements_it_does_not_matter_which_is_the_first():
    spots, sums = RNG.poisson(rates(100, 5)), RNG.poisson(3 * rates(100, 5))
    for one, other in zip(noise_ratio(spots, sums), noise_ratio(sums, spots), strict=True):
        np.testing.assert_allclose(one, other)


def test_real_differences_add():
    rate = rates(500, 200, 20.0)
    turned = RNG.permutation(rate)
    assert np.median(noise_ratio(RNG.poisson(turned), RNG.poisson(rate))[0]) > 5


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_it_is_never_negative_and_sparse_or_not_is_the_same(seed, spots):
    x, y = np.random.default_rng(seed).poisson(0.7, (2, spots, 6))
    dense, sparse = noise_ratio(x, y), noise_ratio(sp.csr_array(x), sp.csc_array(y.astype(np.float32)))
    np.testing.assert_array_equal(dense, sparse)
    ratio, error = dense
    assert (ratio[np.isfinite(ratio)] >= -1e-12).all()
    np.testing.assert_array_equal(np.isnan(ratio), np.isnan(error))


def test_what_tells_nothing_is_nan():
    spots = np.array([[0, 2, 3, 1], [0, 1, 0, 0]])
    sums = np.array([[4, 0, 9, 0], [1, 0, 0, 1]])
    ratio, error = noise_ratio(spots, sums)
    np.testing.assert_array_equal(np.isnan(ratio), [True, True, True, False])
    np.testing.assert_array_equal(np.isnan(error), [True, True, True, False])
    assert np.isnan(noise_ratio(np.zeros((0, 1)), np.zeros((0, 1)))[0]).all()


@pytest.mark.parametrize("bad", [[[0.5]], [[-1]]])
def test_only_counts_are_compared(bad):
    with pytest.raises(ValueError, match="sums must be whole numbers from 0 up"):
        noise_ratio([[1]], bad)
    with pytest.raises(ValueError, match="spots must be whole numbers from 0 up"):
        noise_ratio(bad, [[1]])


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"spots \(2, 1\) and sums \(1, 2\) must be \(spots, genes\)"):
        noise_ratio(np.ones((2, 1)), np.ones((1, 2)))
