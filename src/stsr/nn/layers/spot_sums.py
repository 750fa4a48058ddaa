"""Predicted sums over the cells of a spot: over all of them, or estimated from a subset.

Shapes: ``n`` spots, ``p`` cells a spot, ``g`` genes.
"""

from __future__ import annotations

import torch
from torch import Tensor

CELL_SUBSETS = 2
"""Subsets into which the cells of a spot are divided; a training step uses one. Adjacent cells are highly correlated, so
half of them estimate the sum well."""


def summed(weight: Tensor, rates: Tensor) -> Tensor:
    """(n, g) weighted sums over spots, from the (n, p) weights and (n, p, g) rates of their cells.

    Summed in full precision, even if the network runs in mixed precision.
    """
    with torch.autocast(rates.device.type, enabled=False):
        return torch.einsum("np,npg->ng", weight, rates.float())


def cell_subset(step: int, weight: Tensor) -> tuple[slice, Tensor]:
    """The subset of cells used at a training step, and their weights, scaled up to the sum over all cells.

    ``weight`` (n, p) holds the weights of all cells. A spot without a cell in the subset is represented by its padding,
    which repeats its first cell.
    """
    subsets = min(CELL_SUBSETS, weight.shape[1])
    subset = slice(step % subsets, None, subsets)
    part = weight[:, subset]
    part = torch.where(part.sum(dim=1, keepdim=True) > 0, part, 1.0)
    return subset, part * (weight.sum(dim=1, keepdim=True) / part.sum(dim=1, keepdim=True))
