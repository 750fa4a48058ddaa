"""Count likelihoods and correlations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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


def zero_inflated_negative_binomial(counts: Tensor, mean: Tensor, log_theta: Tensor, logit: Tensor) -> Tensor:
    """Negative log-likelihood of counts under a negative binomial of which a share of zeros is none of its own.

    A count is 0 with probability ``π = sigmoid(logit)``, and else follows :func:`negative_binomial`. The arguments have one
    shape or broadcast.

    References
    ----------
    Lambert 1992, Technometrics 34, with Poisson counts; Eraslan et al. 2019, Nature Communications 10:390, "ZINB".
    """
    own = -negative_binomial(counts, mean, log_theta)
    # -log of π + (1 - π) p(0) for a zero, and of (1 - π) p(y) for any other count, without a difference of small numbers
    log_inflated, log_own = F.logsigmoid(logit), F.logsigmoid(-logit) + own
    return -torch.where(counts == 0, torch.logaddexp(log_inflated, log_own), log_own)


def correlation_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """One less Pearson's correlation over spots, a mean over genes; 1 for a gene that is constant in either.

    Parameters
    ----------
    predicted, target
        (n, genes) of n spots.

    Examples
    --------
    >>> spots = torch.tensor([[0.0], [1.0], [3.0]])
    >>> round(correlation_loss(spots, 2 * spots + 5).item(), 4), correlation_loss(spots, 0 * spots).item()
    (0.0, 1.0)
    """
    predicted, target = predicted - predicted.mean(dim=0), target - target.mean(dim=0)
    # a constant has no correlation: its norm of 0 is replaced, so that the gradient stays finite
    norms = (predicted.square().sum(dim=0).clamp(min=TINY) * target.square().sum(dim=0).clamp(min=TINY)).sqrt()
    return 1 - ((predicted * target).sum(dim=0) / norms).mean()
