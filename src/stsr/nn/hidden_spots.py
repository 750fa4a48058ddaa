"""Training by hiding spots: each disc is predicted from everything but its own counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor

from stsr.nn.cross_attention import CrossAttentionNet, Patch
from stsr.nn.losses import negative_binomial


@dataclass(frozen=True)
class Tile:
    """A square of tissue and the spots in it.

    Parameters
    ----------
    features, pixels
        (width, h, w) standardised features and (3, h k, w k) pixels.
    flip
        Orientation in which the pixels are shown.
    patch
        The cells under the spots.
    counts
        (n, g) what the spots measured.
    """

    features: Tensor
    pixels: Tensor
    flip: tuple[bool, bool, bool]
    patch: Patch
    counts: Tensor


class HiddenSpots(lightning.LightningModule):
    """Negative-binomial loss between a spot's counts and the sum of the cells of its disc.

    Parameters
    ----------
    net
        Predicts rates per cell.
    mean
        (g,) mean density of the section.
    total_steps
        Length of the one-cycle schedule.
    """

    def __init__(
        self, net: CrossAttentionNet, mean: Tensor, *, learning_rate: float, weight_decay: float, total_steps: int
    ) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean, persistent=False)
        self.learning_rate, self.weight_decay, self.total_steps = learning_rate, weight_decay, total_steps

    def loss(self, tile: Tile) -> Tensor:
        """Mean over the spots and genes of a tile."""
        tokens = self.net.tokens(tile.features, tile.pixels, tile.flip)
        rates, _ = self.net(tokens, tile.patch, self.mean)
        # Counts are summed and compared in full precision, whatever the network was run in.
        with torch.autocast(self.device.type, enabled=False):
            discs = torch.einsum("np,npg->ng", tile.patch.weight, rates.float())
            return negative_binomial(tile.counts, discs, self.net.log_theta).mean()

    def training_step(self, tile: Tile, index: int) -> Tensor:
        """One tile, one step."""
        loss = self.loss(tile)
        self.log("train", loss, on_step=False, on_epoch=True, batch_size=len(tile.counts), prog_bar=True)
        return loss

    def validation_step(self, tile: Tile, index: int) -> None:
        """The held-out spots of one tile."""
        self.log("held_out", self.loss(tile), on_epoch=True, batch_size=len(tile.counts), prog_bar=True)

    def transfer_batch_to_device(self, tile: Tile, device: torch.device, index: int) -> Tile:
        """Tiles are made on their device."""
        return tile

    def configure_optimizers(self) -> Any:
        """AdamW; the rate rises, then falls over the steps there are."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.warm_up_and_cosine)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def warm_up_and_cosine(self, step: int) -> float:
        """Share of the full rate at a step: up in a straight line, then down along half a cosine."""
        rise = 0.15 * self.total_steps
        if step < rise:
            return (step + 1) / (rise + 1)
        done = min((step - rise) / (self.total_steps - rise), 1.0)
        return max(0.5 * (1 + math.cos(math.pi * done)), 1e-3)
