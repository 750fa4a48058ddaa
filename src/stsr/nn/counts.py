"""Training on counts: a negative-binomial loss between what spots measured and what a network expects of them."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from stsr.nn.losses import negative_binomial


class SpotCounts(lightning.LightningModule):
    """Negative-binomial loss over spots and genes; a subclass says what a network expects of the spots of a batch.

    The library size counts for little, but for something: it has a hundred times the molecules of a gene, and so tells
    where in the tissue there is much of everything.

    Parameters
    ----------
    net
        Predicts rates per cell; its ``log_theta`` (g + 1,) is the logarithm of the inverse dispersion.
    mean
        (g + 1,) mean density of the tissue.
    library_weight
        Weight of the library size's loss beside the mean over genes.
    learning_rate, weight_decay
        Of AdamW.
    total_steps
        Length of the schedule: the rate rises in a straight line, then falls along half a cosine.
    """

    net: Any

    def __init__(
        self,
        net: nn.Module,
        mean: Tensor,
        *,
        library_weight: float,
        learning_rate: float,
        weight_decay: float,
        total_steps: int,
    ) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean, persistent=False)
        self.library_weight = library_weight
        self.learning_rate, self.weight_decay, self.total_steps = learning_rate, weight_decay, total_steps

    @abstractmethod
    def spots(self, batch: Any) -> tuple[Tensor, Tensor]:
        """(n, g + 1) counts of the spots of a batch, their library size last, and what the network expects of them."""

    def losses(self, batch: Any) -> tuple[Tensor, Tensor, int]:
        """Mean over spots and genes, mean over spots for the library size, and the number of spots."""
        counts, expected = self.spots(batch)
        # Counts are compared in full precision, whatever the network was run in.
        with torch.autocast(self.device.type, enabled=False):
            columns = negative_binomial(counts, expected, self.net.log_theta).mean(dim=0)
        return columns[:-1].mean(), columns[-1], len(counts)

    def training_step(self, batch: Any, index: int) -> Tensor:
        """One batch, one step."""
        genes, library, spots = self.losses(batch)
        self.log("train", genes, on_step=False, on_epoch=True, batch_size=spots, prog_bar=True)
        return genes + self.library_weight * library

    def validation_step(self, batch: Any, index: int) -> None:
        """A batch of held-out spots."""
        genes, _, spots = self.losses(batch)
        self.log("held_out", genes, on_epoch=True, batch_size=spots, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW, fused where :class:`stsr.nn.regression.Regression` has Adam fused; the rate rises, then falls."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=self.device.type == "cpu"
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.warm_up_and_cosine)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def warm_up_and_cosine(self, step: int) -> float:
        """Share of the full rate at a step: up in a straight line, then down along half a cosine."""
        rise = 0.15 * self.total_steps
        if step < rise:
            return (step + 1) / (rise + 1)
        done = min((step - rise) / (self.total_steps - rise), 1.0)
        return max(0.5 * (1 + math.cos(math.pi * done)), 1e-3)
