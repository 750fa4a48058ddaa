"""Image networks: expected counts of a cell from its image features and a context vector of the spots around it.

Shapes: ``n`` spots, ``p`` cells a spot, ``g`` genes. Where ``g + 1`` is written, the last column is the library size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.layers.gene_subsets import ALL, select_genes
from stsr.nn.layers.mlp import perceptron
from stsr.nn.layers.spot_sums import cell_subset, summed
from stsr.nn.training.counts import SpotCounts

DROPOUT_PERIOD = 9
"""Context dropout: every so many training steps, all context vectors are zero. Odd, so that it meets both cell subsets."""

LOG_THETA = 2.0
"""Initial logarithm of the inverse dispersion of every gene."""


class HistologyNet(nn.Module):
    """Expected counts per cell from the image features of the cell: ``rate = mean * exp(log_ratio)``.

    The context vector holds the residuals of the spots around: what they measured beyond what their own features predict.
    Context dropout in training lets the network also predict tissue without spots, where the context vector is zero.

    Parameters
    ----------
    features, context, genes
        Number of image features, length of the context vector, number of genes.
    read
        Widths of the hidden layers of the perceptron.
    rank
        Width of the latent from which all genes are predicted.
    """

    clamp = 4.0  # largest absolute log ratio

    def __init__(self, features: int, context: int, genes: int, *, read: tuple[int, ...], rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.read = perceptron(features + context, *read, rank)
        self.head = nn.Linear(rank, genes + 1)
        self.log_theta = nn.Parameter(torch.full((genes + 1,), LOG_THETA))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor, context: Tensor, genes: slice = ALL) -> tuple[Tensor, Tensor]:
        """Log ratios (..., g + 1) of rates to the tissue's mean density, of a gene subset, and latents (..., rank)."""
        latent = self.read(torch.cat([features, context], dim=-1))
        weight, bias = select_genes(self.head.weight.T, genes), select_genes(self.head.bias, genes)
        return F.linear(F.gelu(latent), weight.T, bias).clamp(-self.clamp, self.clamp), latent


class HistologyMean(nn.Module):
    """The geometric mean of the rates of several :class:`HistologyNet`, as one network.

    The heads are linear, so one head on the concatenated latents gives the mean of the log ratios. The product over
    genes, which takes most of the time, is then computed once.

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
        inputs = torch.cat([features, context], dim=-1)
        latent = torch.cat([read(inputs) for read in self.reads], dim=-1)
        log_ratio = F.linear(F.gelu(latent), self.weight, self.bias)
        return mean[:-1] * log_ratio.clamp_(-self.clamp, self.clamp).exp_(), latent


class HistologyDiscs(SpotCounts):
    """Train a :class:`HistologyNet` on spots in any order.

    A training step uses a subset of the cells of every spot. Some steps have context dropout.
    """

    def spots(self, batch: list[Tensor], genes: slice = ALL) -> tuple[Tensor, Tensor]:
        """Counts of spots, and predicted sums over their cells.

        A batch is the (n, p, features) and (n, p, context) of the cells, (n, p) weights and (n, g + 1) counts.
        """
        features, context, weight, counts = batch
        if self.training:
            cells, weight = cell_subset(self.global_step, weight)
            features, context = features[:, cells], context[:, cells]
            if self.global_step % DROPOUT_PERIOD == 0:
                context = torch.zeros_like(context)
        log_ratio, _ = self.current(features.float(), context, genes)
        return select_genes(counts, genes), select_genes(self.mean, genes) * summed(weight, log_ratio.exp())
