"""Output layers from features to non-negative expression."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOOR = 0.01
"""Both α of the ELU, whose infimum is -α, and the constant added to it: outputs stay above zero."""

LEAK = 0.1
"""Slope of the leaky ReLUs below zero."""

HIDDEN = 2048
"""Width of the layer before the genes, of :class:`ReluHead`."""


class EluHead(nn.Module):
    """Fully connected layers with leaky ReLUs, then an output layer with ``ELU + FLOOR``, above zero.

    Parameters
    ----------
    inputs, hidden, genes
        Widths of the input, of the hidden layers and of the output.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], genes: int) -> None:
        super().__init__()
        sizes = (inputs, *hidden)
        layers = [
            layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b), nn.LeakyReLU(LEAK))
        ]
        self.hidden, self.out = nn.Sequential(*layers), nn.Linear(sizes[-1], genes)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., genes)."""
        return self.rates(self.hidden(x))

    def rates(self, hidden: Tensor) -> Tensor:
        """(..., genes) from the output of the last hidden layer."""
        return F.elu(self.out(hidden), FLOOR) + FLOOR


class ReluHead(nn.Module):
    """From tokens (..., width) to expression (..., genes), never below zero."""

    def __init__(self, width: int, genes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.LayerNorm(HIDDEN))
        self.out = nn.Linear(HIDDEN, genes)

    def forward(self, tokens: Tensor) -> Tensor:
        """The expression."""
        return F.relu(self.out(self.hidden(tokens)))

    def start_at(self, mean: Tensor) -> None:
        """Set the output bias to the mean expression (genes,).

        A rare gene whose output starts below zero may get no gradient through the ReLU, and would stay at zero.
        """
        with torch.no_grad():
            self.out.bias.copy_(mean)
