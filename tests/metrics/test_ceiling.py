"""Binomial thinning and the noise ceiling against what is known of gamma-Poisson counts."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from stsr.metrics import noise_ceiling, pearson, thin

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(RNG.gamma(0.5, 1.0, (500, 3)))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, sp.csc_array])
def test_halves_add_up_to_the_counts_and_keep_their_kind(kind):
    counts = kind(COUNTS.astype(np.float32))
    half, rest = thin(counts)
    assert type(half) is type(rest) is type(counts)
    dense, other = (m.toarray() if sp.issparse(m) else m for m in (half, rest))
    np.testing.assert_array_equal(dense + other, COUNTS)
    assert dense.min() == other.min() == 0


def test_each_umi_falls_to_either_side_with_probability_one_half():
    half, _ = thin(np.full(20_000, 10))
    assert abs(half.mean() - 5) < 0.05  # standard error .011
    assert abs(half.var() - 2.5) < 0.1


def test_each_umi_falls_to_the_first_part_with_the_probability_asked_for():
    first, rest = thin(np.full(20_000, 10), share=0.2)
    np.testing.assert_array_equal(first + rest, 10)
    assert abs(first.mean() - 2) < 0.05  # standard error .009
    assert abs(first.var() - 1.6) < 0.1


def test_parts_of_poisson_counts_are_independent():
    counts = RNG.poisson(4.0, 200_000)
    first, rest = thin(counts, share=0.3)
    assert abs(np.corrcoef(first, rest)[0, 1]) < 0.01  # standard error .002
    assert abs(first.var() / first.mean() - 1) < 0.02


def test_halves_are_what_they_always_were():
    np.testing.assert_array_equal(thin(np.arange(12), seed=5)[0], np.random.default_rng(5).binomial(np.arange(12), 0.5))


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan"), "0.5", None, True])
def test_a_share_that_leaves_a_part_empty_is_refused(share):
    with pytest.raises(ValueError, match=f"share={share!r} is not allowed; pass a number from 1e-06 to 0.999999"):
        thin(COUNTS, share=share)


def test_a_generator_draws_as_its_seed():
    np.testing.assert_array_equal(thin(COUNTS, seed=np.random.default_rng(4))[0], thin(COUNTS, seed=4)[0])


def test_the_seed_decides():
    first, again, other = (thin(COUNTS, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("bad", [[[0.5]], [[-1]], [[1.0, -2.0]]])
def test_only_counts_can_be_thinned(bad):
    with pytest.raises(ValueError, match="counts must be whole numbers from 0 up"):
        thin(np.array(bad))


@pytest.mark.parametrize("depth", [0.3, 1.0, 5.0])
def test_ceiling_is_what_the_true_expectation_reaches(depth):
    expected = RNG.gamma(1.0, depth, (200_000, 1))  # variance depth², and depth more from counting
    counts = RNG.poisson(expected)
    ceiling = noise_ceiling(*thin(counts))
    np.testing.assert_allclose(ceiling, np.sqrt(depth / (depth + 1)), atol=0.02)
    np.testing.assert_allclose(ceiling, pearson(counts, expected), atol=0.02)


@given(st.integers(0, 10_000))
def test_ceiling_lies_between_0_and_1(seed):
    ceiling = noise_ceiling(*thin(np.random.default_rng(seed).poisson(1.0, (30, 4)), seed=seed))
    assert ((ceiling >= 0) & (ceiling <= 1)).all()


def test_halves_that_disagree_leave_nothing_to_find():
    half = np.array([[0.0], [1], [2]])
    np.testing.assert_array_equal(noise_ceiling(half, 2 - half), [0])
    assert np.isnan(noise_ceiling(half, np.zeros((3, 1)))).all()
