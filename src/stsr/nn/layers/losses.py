"""Count likelihoods."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-6
"""Added to means, so that their logarithm is finite."""


def negative_binomial(counts: Tensor, mean: Tensor, log_theta: Tensor) -> Tensor:
    """Negative log-likelihood of counts under a negative binomial with variance ``mean + mean**2 / theta``.

    The arguments have one shape or broadcast. Terms that depend on ``counts`` alone are included, so values are comparable
    across methods.
    """
    # -log p(y) = lnΓ(θ) + lnΓ(y + 1) - lnΓ(y + θ) + θ ln((θ + μ) / θ) + y ln((θ + μ) / μ);
    # NB2 in Cameron & Trivedi, J. Applied Econometrics 1, 1986. torch.distributions.NegativeBinomial takes two
    # log-sigmoids of log(μ / θ) instead, where one logarithm of θ + μ is enough.
    theta = log_theta.exp()
    mean = mean + TINY
    log_total = torch.log(theta + mean)
    return (
        torch.lgamma(theta)
        + torch.lgamma(counts + 1)
        - torch.lgamma(counts + theta)
        + theta * (log_total - log_theta)
        + counts * (log_total - torch.log(mean))
    )
