"""Count likelihoods and correlations against scipy."""

from __future__ import annotations

import numpy as np
import scipy.stats
import torch

from stsr.nn.layers.losses import correlation_loss, negative_binomial, zero_inflated_negative_binomial


def test_negative_binomial_is_scipys():
    rng = np.random.default_rng(0)
    counts, mean, theta = rng.poisson(5, (40, 3)), rng.gamma(2, 3, (40, 3)), np.array([0.3, 2.0, 50.0])
    ours = negative_binomial(torch.tensor(counts), torch.tensor(mean), torch.tensor(np.log(theta)))
    theirs = -scipy.stats.nbinom.logpmf(counts, theta, theta / (theta + mean))
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4)


def test_it_is_lowest_at_the_mean():
    counts = torch.full((1,), 7.0, dtype=torch.float64)
    mean = torch.tensor([7.0], dtype=torch.float64, requires_grad=True)
    negative_binomial(counts, mean, torch.tensor([1.0], dtype=torch.float64)).sum().backward()
    assert abs(mean.grad.item()) < 1e-6


def test_zero_inflated_negative_binomial_is_a_mixture_by_scipy():
    rng = np.random.default_rng(0)
    counts, mean, theta = rng.poisson(1, (40, 3)), rng.gamma(2, 1, (40, 3)), np.array([0.3, 2.0, 50.0])
    logit = np.array([-3.0, 0.0, 2.0])
    share = 1 / (1 + np.exp(-logit))
    expected = share * (counts == 0) + (1 - share) * scipy.stats.nbinom.pmf(counts, theta, theta / (theta + mean))
    ours = zero_inflated_negative_binomial(
        torch.tensor(counts), torch.tensor(mean), torch.tensor(np.log(theta)), torch.tensor(logit)
    )
    assert (counts == 0).any()
    np.testing.assert_allclose(ours.numpy(), -np.log(expected), rtol=1e-4)


def test_without_inflation_it_is_the_negative_binomial():
    counts, mean, log_theta = torch.arange(5.0), torch.full((5,), 2.0), torch.tensor(0.5)
    inflated = zero_inflated_negative_binomial(counts, mean, log_theta, torch.tensor(-50.0))
    torch.testing.assert_close(inflated, negative_binomial(counts, mean, log_theta))


def test_correlation_is_scipys():
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    expected = np.mean([scipy.stats.pearsonr(a, b).statistic for a, b in zip(predicted.T, target.T, strict=True)])
    np.testing.assert_allclose(correlation_loss(torch.tensor(predicted), torch.tensor(target)).item(), 1 - expected)


def test_a_constant_gene_or_a_single_spot_has_no_correlation_and_a_finite_gradient():
    for predicted in (torch.ones(5, 1, requires_grad=True), torch.ones(1, 1, requires_grad=True)):
        loss = correlation_loss(predicted, torch.rand(len(predicted), 1))
        loss.backward()
        assert loss.item() == 1
        assert predicted.grad.isfinite().all()
