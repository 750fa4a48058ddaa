"""The network of ST-Net: a convolutional network and one linear layer."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from stsr.nn.networks.patch_encoder import PatchEncoder


class StNet(nn.Module):
    """Expression of a spot as a linear function of the features of its patch.

    With DenseNet-121 and 785 genes it has 7,758,481 parameters. (Wang et al. 2025 state 7,973,733 for their version, which
    is what 995 genes would give, but for 2.)

    Parameters
    ----------
    genes
        Number of genes.
    backbone, weights
        As in :class:`~stsr.nn.networks.patch_encoder.PatchEncoder`.

    References
    ----------
    He et al., Nature Biomedical Engineering 4, 2020.
    """

    def __init__(self, genes: int, *, backbone: str = "densenet121", weights: str | Path | None = None) -> None:
        super().__init__()
        self.encoder = PatchEncoder(backbone, weights=weights)
        self.out = nn.Linear(self.encoder.width, genes)

    def forward(self, patches: Tensor) -> Tensor:
        """(n, genes) expression of (n, 3, pixels, pixels) uint8 patches."""
        return self.out(self.encoder(patches))

    def start_at(self, mean: Tensor) -> None:
        """Set the linear layer so that the mean expression (genes,) is predicted whatever the patch."""
        with torch.no_grad():
            self.out.weight.zero_()
            self.out.bias.copy_(mean)
