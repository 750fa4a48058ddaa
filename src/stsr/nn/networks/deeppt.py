"""The network of DeepPT: a convolutional network, an autoencoder of its features, a perceptron on the code."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.networks.patch_encoder import PatchEncoder
from stsr.nn.training.regression import Regression

CODE = 512
"""Width of the code, and of the hidden layer after it."""

DROPOUT = 0.2
"""Share of the hidden layer that is set to zero in training."""


class DeepPt(nn.Module):
    """Expression of a spot from a code of the features of its patch.

    Features (2048 of ResNet-50) are compressed to a code of 512 and restored from it; the code goes through a hidden layer
    of 512 to the genes. Activations are not stated in the publication; here code and hidden layer have ReLUs. With
    ResNet-50 and 785 genes it has 26,273,105 parameters. (Wang et al. 2025 state 26,641,472 for their version, which no
    reading of these widths gives.)

    Parameters
    ----------
    genes
        Number of genes.
    backbone, weights
        As in :class:`~stsr.nn.networks.patch_encoder.PatchEncoder`.

    References
    ----------
    Hoang et al., Nature Cancer 5, 2024, Extended Data Figure 1.
    """

    def __init__(self, genes: int, *, backbone: str = "resnet50", weights: str | Path | None = None) -> None:
        super().__init__()
        self.encoder = PatchEncoder(backbone, weights=weights)
        self.compress, self.restore = nn.Linear(self.encoder.width, CODE), nn.Linear(CODE, self.encoder.width)
        self.hidden = nn.Sequential(nn.Linear(CODE, CODE), nn.ReLU(), nn.Dropout(DROPOUT))
        self.out = nn.Linear(CODE, genes)

    def forward(self, patches: Tensor) -> Tensor:
        """(n, genes) expression of (n, 3, pixels, pixels) uint8 patches."""
        return self.express(self.code(self.encoder(patches)))

    def code(self, features: Tensor) -> Tensor:
        """(n, 512) from features (n, width)."""
        return F.relu(self.compress(features))

    def express(self, code: Tensor) -> Tensor:
        """(n, genes) from a code."""
        return self.out(self.hidden(code))

    def start_at(self, mean: Tensor) -> None:
        """Set the output bias to the mean expression (genes,)."""
        with torch.no_grad():
            self.out.bias.copy_(mean)


class CodedRegression(Regression):
    """Error of the expression and, in training, of the features that are restored from the code.

    The features that are to be restored are constants to the loss: else the backbone would make them easy to restore,
    such as all zero.
    """

    net: DeepPt

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (n, 3, pixels, pixels) patches and (n, genes) targets; validation compares expression alone."""
        patches, target = batch
        features = self.net.encoder(patches)
        code = self.net.code(features)
        loss = self.error(self.net.express(code), target)
        return loss + self.error(self.net.restore(code), features.detach().float()) if self.training else loss
