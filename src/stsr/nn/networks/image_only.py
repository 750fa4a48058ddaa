"""Expected counts from histology: what a cell's image features say, in the light of what spots around it measured.

Shapes: ``n`` spots, ``p`` cells a spot, ``g`` genes. Where ``g + 1`` is written, the last column is the library size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.layers.gene_subsets import ALL, some
from stsr.nn.layers.mlp import perceptron
from stsr.nn.layers.spot_sums import in_turn, summed
from stsr.nn.training.counts import SpotCounts

ALONE = 9
"""One training step in so many is told nothing of the spots around; odd, so that all cells have such steps in turn."""


class HistologyNet(nn.Module):
    """Expected counts per cell from the image features of the cell: ``rate = mean * exp(log_ratio)``.

    It is also told, in a few numbers, what the spots around measured beyond what their own features say. Zeros tell
    nothing, and that is what it is shown in some steps of training: it predicts tissue without spots as well.

    Parameters
    ----------
    features, context, genes
        How many.
    read
        Widths of the hidden layers of the perceptron that reads the features.
    rank
        Width of the latent from which all genes are predicted.
    """

    clamp = 4.0

    def __init__(self, features: int, context: int, genes: int, *, read: tuple[int, ...], rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.read = perceptron(features + context, *read, rank)
        self.head = nn.Linear(rank, genes + 1)
        self.log_theta = nn.Parameter(torch.full((genes + 1,), 2.0))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor, context: Tensor, genes: slice = ALL) -> tuple[Tensor, Tensor]:
        """Log ratios (..., g + 1) of cells' rates of some genes to the tissue's mean density, and latents (..., rank)."""
        latent = self.read(torch.cat([features, context], dim=-1))
        weight, bias = some(self.head.weight.T, genes), some(self.head.bias, genes)
        return F.linear(F.gelu(latent), weight.T, bias).clamp(-self.clamp, self.clamp), latent


class HistologyMean(nn.Module):
    """The geometric mean of what several :class:`HistologyNet` expect, as one network.

    Their heads are linear, so one head that reads their latents side by side gives the mean of their log ratios: the
    product over genes, which takes most of the time, is taken once.

    Parameters
    ----------
    nets
        Trained on the same genes.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, nets: Sequence[HistologyNet]) -> None:
        super().__init__()
        self.reads = nn.ModuleList(net.read for net in nets)
        self.clamp, self.rank = nets[0].clamp, sum(net.rank for net in nets)
        heads = [net.head for net in nets]
        weight = torch.cat([head.weight.detach() for head in heads], dim=1) / len(nets)
        bias = torch.stack([head.bias.detach() for head in heads]).mean(dim=0)
        # The library size is left out.
        self.register_buffer("weight", weight[:-1])
        self.register_buffer("bias", bias[:-1])

    def forward(self, features: Tensor, context: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Rates (..., g) and latents (..., rank) of cells, from the tissue's (g + 1,) mean density."""
        told = torch.cat([features, context], dim=-1)
        latent = torch.cat([read(told) for read in self.reads], dim=-1)
        log_ratio = F.linear(F.gelu(latent), self.weight, self.bias)
        return mean[:-1] * log_ratio.clamp_(-self.clamp, self.clamp).exp_(), latent


class HistologyDiscs(SpotCounts):
    """Train a :class:`HistologyNet` on spots in any order.

    A step of training looks at some of the cells of every disc, and some steps are told nothing of the spots around.
    """

    def spots(self, batch: list[Tensor], genes: slice = ALL) -> tuple[Tensor, Tensor]:
        """Counts, and sums over discs.

        A batch is (n, p, features) and (n, p, context) of their cells, (n, p) weights and (n, g + 1) counts.
        """
        features, context, weight, counts = batch
        if self.training:
            now, weight = in_turn(self.global_step, weight)
            features, context = features[:, now], context[:, now]
            if self.global_step % ALONE == 0:
                context = torch.zeros_like(context)
        log_ratio, _ = self.current(features.float(), context, genes)
        return some(counts, genes), some(self.mean, genes) * summed(weight, log_ratio.exp())
