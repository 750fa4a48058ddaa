"""The networks of the default method, as large as its settings and a section ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stsr.methods.cross_attention.config import CrossAttentionConfig

if TYPE_CHECKING:
    from stsr.nn.networks.cross_attention import CrossAttentionNet, View
    from stsr.nn.networks.image_only import HistologyNet

PIXEL, BLOCK = 2.0, 16.0
"""µm, about: a pixel of the H&E that the convolutions see, and the side of the blocks of cells that they describe."""


@dataclass(frozen=True)
class Architecture:
    """What the shapes of the networks depend on.

    Parameters
    ----------
    config
        The method's settings.
    features, context, genes
        Numbers that describe a cell's image; length of its context vector; genes.
    pitch
        Of the spots learned from, in µm.
    bin_size
        Side of a cell in µm.
    """

    config: CrossAttentionConfig
    features: int
    context: int
    genes: int
    pitch: float
    bin_size: float

    @property
    def block(self) -> int:
        """Cells to the side of a block, a power of two."""
        return 2 ** max(0, round(np.log2(BLOCK / self.bin_size)))

    @property
    def halvings(self) -> int:
        """How often the resolution is halved from pixels to blocks."""
        return max(round(np.log2(self.block)), round(np.log2(self.bin_size * self.block / PIXEL)))

    @property
    def view(self) -> View:
        """How the attention networks look at a window of the grid."""
        from stsr.nn.networks.cross_attention import View

        config = self.config
        return View.of(self.halvings, self.block, dilations=config.dilations, reach=config.reach)

    def image_network(self) -> HistologyNet:
        """An untrained network that predicts a cell from its features and its context vector."""
        from stsr.nn.networks.image_only import HistologyNet

        config = self.config
        return HistologyNet(self.features, self.context, self.genes, read=config.image_widths, rank=config.image_rank)

    def attention_network(self) -> CrossAttentionNet:
        """An untrained network that attends to the spots around a cell."""
        from stsr.nn.networks.cross_attention import CrossAttentionNet

        c = self.config
        return CrossAttentionNet(
            self.features,
            self.context,
            self.genes,
            halvings=self.halvings,
            block=self.block,
            dim=c.dim,
            heads=c.heads,
            width=c.width,
            rank=c.rank,
            read=c.read,
            stem=c.stem,
            dilations=c.dilations,
            lengths=(c.lengths[0] * self.pitch, c.lengths[1] * self.pitch),
            reach=c.reach,
        )
