"""Expected counts from histology alone: what a cell's image features say, whatever was measured around it.

Shapes: ``n`` spots, ``p`` cells a spot, ``g`` genes. Where ``g + 1`` is written, the last column is the library size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.counts import SpotCounts
from stsr.nn.discs import summed
from stsr.nn.perceptron import perceptron


class HistologyNet(nn.Module):
    """Expected counts per cell from the image features of the cell: ``rate = mean * exp(log_ratio)``.

    Parameters
    ----------
    features, genes
        How many.
    read
        Widths of the hidden layers of the perceptron that reads the features.
    rank
        Width of the latent from which all genes are predicted.
    """

    clamp = 4.0

    def __init__(self, features: int, genes: int, *, read: tuple[int, ...], rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.read = perceptron(features, *read, rank)
        self.head = nn.Linear(rank, genes + 1)
        self.log_theta = nn.Parameter(torch.full((genes + 1,), 2.0))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Log ratios (..., g + 1) of rates to the tissue's mean density, and latents (..., rank), from cells' features."""
        latent = self.read(features)
        return self.head(F.gelu(latent)).clamp(-self.clamp, self.clamp), latent


class HistologyDiscs(SpotCounts):
    """Train a :class:`HistologyNet` on spots in any order."""

    def spots(self, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Counts, and sums over discs; a batch is (n, p, features) of their cells, (n, p) weights and (n, g + 1) counts."""
        features, weight, counts = batch
        log_ratio, _ = self.net(features.float())
        return counts, summed(weight, self.mean * log_ratio.exp())
