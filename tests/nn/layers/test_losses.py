"""Count likelihoods against scipy."""

from __future__ import annotations

import numpy as np
import scipy.stats
import torch

from stsr.nn.layers.losses import negative_binomial


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
