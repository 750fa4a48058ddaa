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
        (h, w, width) standardised features and (3, h k, w k) pixels.
    flip
        Orientation in which the pixels are shown.
    patch
        The cells under the spots.
    counts
        (n, g + 1) what the spots measured, their library size last.
    """

    features: Tensor
    pixels: Tensor
    flip: tuple[bool, bool, bool]
    patch: Patch
    counts: Tensor


class HiddenSpots(lightning.LightningModule):
    """Negative-binomial loss between a spot's counts and the sum of the cells of its disc.

    The library size counts for little, but for something: it has a hundred times the molecules of a gene, and so tells
    where in the tissue there is much of everything.

    Parameters
    ----------
    net
        Predicts rates per cell.
    mean
        (g + 1,) mean density of the tissue.
    library_weight
        Weight of the library size's loss beside the mean over genes.
    total_steps
        Length of the one-cycle schedule.
    """

    def __init__(
        self,
        net: CrossAttentionNet,
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

    def losses(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Mean over the spots of a tile and over genes, and mean over spots for the library size."""
        tokens = self.net.tokens(tile.features, tile.pixels, tile.flip)
        rates, library, _ = self.net(tokens, tile.patch, self.mean)
        # Counts are summed and compared in full precision, whatever the network was run in.
        with torch.autocast(self.device.type, enabled=False):
            discs = torch.einsum("np,npg->ng", tile.patch.weight, torch.cat([rates, library], dim=-1).float())
            columns = negative_binomial(tile.counts, discs, self.net.log_theta).mean(dim=0)
        return columns[:-1].mean(), columns[-1]

    def training_step(self, tile: Tile, index: int) -> Tensor:
        """One tile, one step."""
        genes, library = self.losses(tile)
        self.log("train", genes, on_step=False, on_epoch=True, batch_size=len(tile.counts), prog_bar=True)
        return genes + self.library_weight * library

    def validation_step(self, tile: Tile, index: int) -> None:
        """The held-out spots of one tile."""
        self.log("held_out", self.losses(tile)[0], on_epoch=True, batch_size=len(tile.counts), prog_bar=True)

    def transfer_batch_to_device(self, tile: Tile, device: torch.device, index: int) -> Tile:
        """Tiles are made on their device."""
        return tile

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
