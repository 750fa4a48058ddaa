"""Capsules: vectors whose length says how likely, and whose direction says how, something is there.

As in Efficient-CapsNet (Mazzia, Salvetti & Chiaberge 2021, "Efficient-CapsNet: capsule network with self-attention routing",
Scientific Reports 11:14634).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

TINY = 1e-8
"""Added to lengths before they divide."""


def squash(capsules: Tensor) -> Tensor:
    """Capsules (..., d) of the same direction and of length ``1 - exp(-‖s‖)``, below 1.

    Examples
    --------
    >>> squash(torch.tensor([3.0, 4.0])).norm().item() < 1
    True
    """
    # hypot of d numbers: at 0 the norm itself has no gradient, this one has 0
    length = (capsules.square().sum(dim=-1, keepdim=True) + TINY**2).sqrt()
    return -torch.expm1(-length) * capsules / length


class PrimaryCapsules(nn.Module):
    """Capsules from a map of features: one depthwise convolution as large as the map, whose channels are then grouped.

    Parameters
    ----------
    channels, side
        Of the map, (n, channels, side, side).
    size
        Width of a capsule; there are ``channels / size``.
    """

    def __init__(self, channels: int, side: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.depthwise = nn.Conv2d(channels, channels, side, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels / size, size)."""
        return squash(self.depthwise(x).flatten(1).unflatten(1, (-1, self.size)))


class RoutedCapsules(nn.Module):
    r"""Capsules from capsules, by self-attention routing.

    Each input capsule :math:`i` predicts each output capsule :math:`j`, :math:`u_{ij} = W_{ij} x_i`. Predictions that agree
    with the others of :math:`j` count more: :math:`a_{ij} = \sum_k u_{ij} \cdot u_{kj} / \sqrt d`,
    :math:`c_{ij} = e^{a_{ij}} / \sum_l e^{a_{il}}`. The output is the squashed :math:`\sum_i (c_{ij} + b_{ij}) u_{ij}`.

    Parameters
    ----------
    inputs, input_size
        Number of input capsules and the width of each.
    outputs, output_size
        Number of output capsules and the width of each.
    """

    def __init__(self, inputs: int, input_size: int, outputs: int, output_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, input_size, output_size))
        self.prior = nn.Parameter(torch.zeros(outputs, inputs, 1))
        # Glorot & Bengio 2010, equation 16, for the map of each pair
        bound = (6 / (input_size + output_size)) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, capsules: Tensor) -> Tensor:
        """(n, outputs, output_size) from (n, inputs, input_size)."""
        votes = torch.einsum("nid,oide->noie", capsules, self.weight)
        agreement = (votes * votes.sum(dim=2, keepdim=True)).sum(dim=-1, keepdim=True) / votes.shape[-1] ** 0.5
        return squash(((agreement.softmax(dim=1) + self.prior) * votes).sum(dim=2))
