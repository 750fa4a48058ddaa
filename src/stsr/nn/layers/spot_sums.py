"""What the cells of a spot add up to, all of them or some in turn.

Shapes: ``n`` spots, ``p`` cells a spot, ``g`` genes.
"""

from __future__ import annotations

import torch
from torch import Tensor

TURNS = 2
"""Cells of a disc take so many turns: neighbours are nearly alike, and half of them say most of what all would."""


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
