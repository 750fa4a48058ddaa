"""Coverage and sharpness against scipy's distributions and randomised intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom, norm, poisson

from stsr.metrics import coverage, sharpness
from stsr.metrics.intervals import sums_with_sd

RNG = np.random.default_rng(0)
MEANS = np.array([0.02, 0.3, 2.0, 30.0, 500.0])
MEAN = RNG.gamma(5.0, MEANS / 5, (20_000, 5))
SD = np.sqrt(MEAN + 0.3 * MEAN**2)
DISTRIBUTION = nbinom(1 / 0.3, 1 / (1 + 0.3 * MEAN))
COUNTS = DISTRIBUTION.rvs(random_state=RNG)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_right_predictions_cover_the_level_however_low_the_counts(level):
    np.testing.assert_allclose(coverage(COUNTS, MEAN, SD, level=level), level, atol=0.012)


def test_whole_counts_in_or_out_would_cover_too_much():
    low, high = DISTRIBUTION.interval(0.8)
    whole = ((COUNTS >= low) & (COUNTS <= high)).mean(axis=0)
    assert (whole[:3] > 0.85).all()


def test_it_is_the_mean_of_randomised_transforms():
    below, up_to = DISTRIBUTION.cdf(COUNTS - 1), DISTRIBUTION.cdf(COUNTS)
    transforms = below + RNG.random((10, *below.shape)) * (up_to - below)
    inside = (transforms > 0.1) & (transforms < 0.9)
    np.testing.assert_allclose(coverage(COUNTS, MEAN, SD), inside.mean(axis=(0, 1)), atol=0.005)


def test_no_more_variance_than_the_mean_is_poisson():
    counts, mean = COUNTS[:500], MEAN[:500]
    below, up_to = poisson.cdf(counts - 1, mean), poisson.cdf(counts, mean)
    expected = (np.clip(up_to, 0.1, 0.9) - np.clip(below, 0.1, 0.9)) / np.maximum(up_to - below, 1e-300)
    for sd in (np.sqrt(mean), 0.1 * np.sqrt(mean), np.zeros_like(mean)):
        np.testing.assert_allclose(coverage(counts, mean, sd), expected.mean(axis=0), atol=1e-4)


def test_too_sure_covers_less_and_too_unsure_more():
    right, narrow, wide = (coverage(COUNTS, MEAN, factor * SD)[2:] for factor in (1, 0.6, 2))
    assert (narrow < right - 0.02).all()
    assert (wide > right + 0.02).all()


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_sharpness_counts_what_belongs_to_the_interval(level):
    mean, sd = np.array([[0.05], [0.7], [6.0]]), np.array([[0.3], [1.0], [5.0]])
    counts = np.arange(200)
    belongs = [
        [coverage([[k]], m[None], s[None], level=level)[0] for k in counts] for m, s in zip(mean, sd, strict=True)
    ]
    widths = [sharpness(m[None], s[None], level=level)[0] for m, s in zip(mean, sd, strict=True)]
    np.testing.assert_allclose(widths, np.sum(belongs, axis=1), rtol=1e-9)
    np.testing.assert_allclose(sharpness(mean, sd, level=level), np.mean(widths))


def test_many_counts_are_as_wide_as_the_normal():
    mean, sd = np.full((1, 3), 1e6), np.array([[1e3, 3e3, 1e4]])
    np.testing.assert_allclose(sharpness(mean, sd), 2 * norm.ppf(0.9) * sd[0], rtol=1e-3)


@given(mean=st.floats(0, 1e4), ratio=st.floats(0, 50), count=st.integers(0, 20_000), level=st.floats(0.05, 0.99))
def test_coverage_is_a_share_and_wider_predictions_are_less_sharp(mean, ratio, count, level):
    sd = ratio * np.sqrt(mean)
    assert 0 <= coverage([[count]], [[mean]], [[sd]], level=level)[0] <= 1 + 1e-12
    width = sharpness([[mean]], [[sd]], level=level)[0]
    assert width > 0
    assert width <= sharpness([[mean]], [[sd]], level=(1 + level) / 2)[0] + 1e-12


def test_the_order_of_the_cells_does_not_matter():
    order = RNG.permutation(len(MEAN))
    np.testing.assert_allclose(coverage(COUNTS[order], MEAN[order], SD[order]), coverage(COUNTS, MEAN, SD))


def test_a_gene_without_a_number_has_no_score():
    sd = SD[:50].copy()
    sd[3, 1] = np.nan
    expected = [False, True, False, False, False]
    np.testing.assert_array_equal(np.isnan(coverage(COUNTS[:50], MEAN[:50], sd)), expected)
    np.testing.assert_array_equal(np.isnan(sharpness(MEAN[:50], sd)), expected)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="level=80 must be between 0 and 1"):
        coverage(COUNTS, MEAN, SD, level=80)
    with pytest.raises(ValueError, match="truth must be whole numbers from 0 up"):
        coverage(COUNTS + 0.5, MEAN, SD)
    with pytest.raises(ValueError, match=r"mean \(20000, 5\) and sd \(20000, 4\) must be \(cells, genes\)"):
        sharpness(MEAN, SD[:, :4])


def test_of_a_sum_counting_noise_is_independent_and_the_error_of_the_rate_is_one():
    rng = np.random.default_rng(3)
    rates = np.array([[4.0, 1.0], [9.0, 0.5], [2.0, 3.0]])
    shares = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    factor = rng.gamma(25.0, 1 / 25, (200_000, 1, 2))  # the same for all cells: standard deviation 0.2 of each rate
    drawn = np.einsum("sc,ncg->nsg", shares, rng.poisson(rates * factor))
    mean, sd = sums_with_sd(shares, rates, np.sqrt(rates + (0.2 * rates) ** 2))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, rtol=0.01)
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.01)


def test_less_than_counting_noise_is_taken_as_that():
    mean, sd = sums_with_sd(np.ones((1, 2)), np.array([[4.0], [5.0]]), np.zeros((2, 1)))
    assert (mean.item(), sd.item()) == (9, 3)
