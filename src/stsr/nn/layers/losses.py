"""Count likelihoods."""

from __future__ import annotations

import torch
from torch import Tensor


def negative_binomial(counts: Tensor, mean: Tensor, log_theta: Tensor) -> Tensor:
    """Negative log-likelihood of counts under a negative binomial with variance ``mean + mean**2 / theta``.

    All of the same shape or broadcast against each other; constants in ``counts`` are kept, so values compare across
    methods.
    """
    theta = log_theta.exp()
    mean = mean + 1e-6
    log_total = torch.log(theta + mean)
    return (
        torch.lgamma(theta)
        + torch.lgamma(counts + 1)
        - torch.lgamma(counts + theta)
        + theta * (log_total - log_theta)
        + counts * (log_total - torch.log(mean))
    )
