"""Training on a recipe: networks whose loss compares predicted with measured values of spots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.training.optimisers import make_optimizer, make_schedule
from stsr.nn.training.recipe import Recipe

LOSSES: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "smooth_l1": F.smooth_l1_loss}


class Regression(lightning.LightningModule):
    """A network and its training; a subclass defines the loss of a batch of spots.

    Parameters
    ----------
    net
        The network.
    recipe
        How it is trained.
    """

    def __init__(self, net: nn.Module, *, recipe: Recipe) -> None:
        super().__init__()
        self.net, self.recipe = net, recipe

    @abstractmethod
    def loss(self, batch: list[Tensor]) -> Tensor:
        """Mean over the spots and genes of a batch, of which the last tensor holds the (n, genes) targets."""

    def error(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The recipe's loss, a mean over spots and genes, in full precision even if the network runs in mixed precision."""
        with torch.autocast(self.device.type, enabled=False):
            return LOSSES[self.recipe.loss](predicted.float(), target)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """One batch of spots."""
        loss, spots = self.loss(batch), len(batch[-1])
        self.log("train", loss, on_step=False, on_epoch=True, batch_size=spots, prog_bar=True)
        return loss * spots if self.recipe.reduction == "sum" else loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """One batch of held-out spots."""
        self.log("held_out", self.loss(batch), on_epoch=True, batch_size=len(batch[-1]), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """As the recipe says, fused on a CPU; on a GPU, Lightning clips no gradients of a fused optimiser in mixed precision."""
        optimizer = make_optimizer(self.parameters(), self.recipe, fused=self.device.type == "cpu")
        schedule = make_schedule(optimizer, self.recipe)
        return {"optimizer": optimizer} | ({} if schedule is None else {"lr_scheduler": schedule})


class Supervised(Regression):
    """Predicts the targets of a batch, its last tensor, from all others: ``net(*inputs)``."""

    def loss(self, batch: list[Tensor]) -> Tensor:
        """Error of the predictions."""
        *inputs, target = batch
        return self.error(self.net(*inputs), target)
