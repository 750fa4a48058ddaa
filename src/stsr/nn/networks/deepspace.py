"""The network of DeepSpaCE: VGG-16, whose last layer has an output for each gene."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from stsr.nn.networks.patch_encoder import PatchEncoder

DROPOUT = 0.5
"""Share of the two layers of 4096 before the last that is set to zero in training, as in VGG (Simonyan & Zisserman 2015)."""


class DeepSpace(nn.Module):
    """Expression of a spot by VGG-16. With 785 genes it has the published 137,476,689 parameters.

    Parameters
    ----------
    genes
        Number of genes.
    backbone, weights
        As in :class:`~stsr.nn.networks.patch_encoder.PatchEncoder`.

    References
    ----------
    Monjo et al., Scientific Reports 12, 2022.
    """

    def __init__(self, genes: int, *, backbone: str = "vgg16", weights: str | Path | None = None) -> None:
        super().__init__()
        self.encoder = PatchEncoder(backbone, weights=weights, options={"drop_rate": DROPOUT})
        self.out = nn.Linear(self.encoder.width, genes)

    def forward(self, patches: Tensor) -> Tensor:
        """(n, genes) expression of (n, 3, pixels, pixels) uint8 patches."""
        return self.out(self.encoder(patches))

    def start_at(self, mean: Tensor) -> None:
        """Set the output bias to the mean expression (genes,)."""
        with torch.no_grad():
            self.out.bias.copy_(mean)
