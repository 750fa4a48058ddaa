"""Training by hiding spots: each disc is predicted from everything but its own counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stsr.nn.layers.gene_subsets import ALL, some
from stsr.nn.layers.spot_sums import in_turn, summed
from stsr.nn.networks.patch import Patch
from stsr.nn.training.counts import SpotCounts


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


class HiddenSpots(SpotCounts):
    """Train a :class:`~stsr.nn.networks.cross_attention.CrossAttentionNet` on tiles of tissue, each spot hidden from itself.

    A step looks at some of the cells of every disc.
    """

    def spots(self, batch: Tile, genes: slice = ALL) -> tuple[Tensor, Tensor]:
        """Counts of the spots of a tile, and the sums over the cells of their discs."""
        tokens = self.current.tokens(batch.features, batch.pixels, batch.flip)
        patch = batch.patch
        if self.training:
            patch = patch.only(*in_turn(self.global_step, patch.weight))
        rates, library, _ = self.current(tokens, patch.of(batch.features), patch, self.mean, genes)
        return some(batch.counts, genes), summed(patch.weight, torch.cat([rates, library], dim=-1))

    def transfer_batch_to_device(self, batch: Tile, device: torch.device, dataloader_idx: int) -> Tile:
        """Tiles are made on their device."""
        return batch
