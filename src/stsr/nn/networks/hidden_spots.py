"""Training by leave-one-out: each spot is predicted without its own counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stsr.nn.layers.gene_subsets import ALL, select_genes
from stsr.nn.layers.spot_sums import cell_subset, summed
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
        Orientation of the pixels; see :meth:`~stsr.nn.networks.cross_attention.CrossAttentionNet.tokens`.
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
    """Train a :class:`~stsr.nn.networks.cross_attention.CrossAttentionNet` on tiles of tissue.

    No spot is among its own neighbours. A training step uses a subset of the cells of every spot.
    """

    def spots(self, batch: Tile, genes: slice = ALL) -> tuple[Tensor, Tensor]:
        """Counts of the spots of a tile, and the sums over the cells of their discs."""
        tokens = self.current.tokens(batch.features, batch.pixels, batch.flip)
        patch = batch.patch
        if self.training:
            patch = patch.only(*cell_subset(self.global_step, patch.weight))
        rates, library, _ = self.current(tokens, patch.of(batch.features), patch, self.mean, genes)
        return select_genes(batch.counts, genes), summed(patch.weight, torch.cat([rates, library], dim=-1))

    def transfer_batch_to_device(self, batch: Tile, device: torch.device, dataloader_idx: int) -> Tile:
        """Tiles are made on their device."""
        return batch
