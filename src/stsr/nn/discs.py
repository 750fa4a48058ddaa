"""What networks that are trained on discs share: a head whose output stays above zero, and the loss on a spot.

Shapes: ``n`` spots, ``p`` cells a spot, ``g`` genes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.regression import Regression

FLOOR = 0.01
"""Both the slope of the ELU below zero and the constant added to it: outputs stay above zero."""

TURNS = 2
"""Cells of a disc take so many turns: neighbours are nearly alike, and half of them say most of what all would."""


class Head(nn.Module):
    """Fully connected layers with leaky ReLUs, then one whose output stays above zero.

    Parameters
    ----------
    inputs, hidden, genes
        Widths of the input, of the hidden layers and of the output.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], genes: int) -> None:
        super().__init__()
        sizes = (inputs, *hidden)
        layers = [
            layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.1))
        ]
        self.hidden, self.out = nn.Sequential(*layers), nn.Linear(sizes[-1], genes)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., genes)."""
        return self.rates(self.hidden(x))

    def rates(self, hidden: Tensor) -> Tensor:
        """(..., genes) from what the last hidden layer says."""
        return F.elu(self.out(hidden), FLOOR) + FLOOR


def summed(weight: Tensor, rates: Tensor) -> Tensor:
    """(n, g) what discs hold, from the (n, p) weights and (n, p, g) rates of their cells.

    In full precision, whatever the network was run in.
    """
    with torch.autocast(rates.device.type, enabled=False):
        return torch.einsum("np,npg->ng", weight, rates.float())


def in_turn(step: int, weight: Tensor) -> tuple[slice, Tensor]:
    """The cells of discs whose turn it is at a step of training, and the weights with which they stand for all.

    ``weight`` (n, p) is that of all cells. A disc that has no cell in this turn is stood for by its padding, which
    repeats its first.
    """
    turns = min(TURNS, weight.shape[1])
    now = slice(step % turns, None, turns)
    part = weight[:, now]
    part = torch.where(part.sum(dim=1, keepdim=True) > 0, part, 1.0)
    return now, part * (weight.sum(dim=1, keepdim=True) / part.sum(dim=1, keepdim=True))


class DiscLoss(Regression):
    """Squared error between the scaled counts of a spot and the weighted sum over the cells of its disc.

    A subclass says how the network predicts the cells.
    """

    @abstractmethod
    def cells(self, *tokens: Tensor) -> Tensor:
        """(n, p, g) scaled expression of the cells of discs."""

    def loss(self, batch: list[Tensor]) -> Tensor:
        """Mean over spots and genes; a batch is tokens, the (n, p) weights of the cells and the (n, g) scaled counts."""
        *tokens, weight, target = batch
        discs = summed(weight, self.cells(*tokens))
        # Compared in full precision too.
        with torch.autocast(self.device.type, enabled=False):
            return F.mse_loss(discs, target)
