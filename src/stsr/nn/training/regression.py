"""Training with Adam, as in the published methods."""

from __future__ import annotations

from abc import abstractmethod

import lightning
import torch
from torch import Tensor, nn


class Regression(lightning.LightningModule):
    """A network and its training; a subclass defines the loss of a batch of spots.

    Parameters
    ----------
    net
        The network.
    learning_rate
        Learning rate of Adam, constant.
    """

    def __init__(self, net: nn.Module, *, learning_rate: float) -> None:
        super().__init__()
        self.net, self.learning_rate = net, learning_rate

    @abstractmethod
    def loss(self, batch: list[Tensor]) -> Tensor:
        """Mean over the spots and genes of a batch, of which the last tensor holds the (n, genes) targets."""

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """One batch of spots."""
        loss = self.loss(batch)
        self.log("train", loss, on_step=False, on_epoch=True, batch_size=len(batch[-1]), prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """One batch of held-out spots."""
        self.log("held_out", self.loss(batch), on_epoch=True, batch_size=len(batch[-1]), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, fused on a CPU; on a GPU, Lightning clips no gradients of a fused optimiser in mixed precision."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, fused=self.device.type == "cpu")
