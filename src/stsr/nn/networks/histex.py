"""The bidirectional cross-attention network of HISTEX.

Shapes: ``n`` tiles, ``p`` cells a tile, ``k`` points of the densified spot lattice, ``g`` genes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.layers.heads import EluHead
from stsr.nn.training.disc_loss import DiscLoss
from stsr.nn.training.recipe import Recipe

WIDTH, HEADS = 128, 8
"""Token width and attention heads."""

HIDDEN = (1024, 512, 512, 512)
"""Widths of the hidden layers of the head."""


class Attention(nn.Module):
    """Multi-head attention followed by a residual linear layer, ``x + Linear(x)``.

    Not :class:`stsr.nn.layers.attention.Attention`, which projects keys and values in one layer: its weights would be drawn in
    another order, and be other arrays of a model; nor :class:`torch.nn.MultiheadAttention`, whose scale is fixed.

    Parameters
    ----------
    scale
        Factor on the dot products; None for ``(width / heads) ** -0.5``.
    """

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self.scale = scale
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.merge, self.after = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, query: Tensor, other: Tensor, mask: Tensor | None = None) -> Tensor:
        """(n, q, width) output for queries (n, q, width) that attend to (n, k, width), where ``mask`` (n, k) is true."""

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

        attended = F.scaled_dot_product_attention(
            heads(self.query(query)),
            heads(self.key(other)),
            heads(self.value(other)),
            attn_mask=None if mask is None else mask[:, None, None, :],
            scale=self.scale,
        )
        x = self.merge(attended.transpose(1, 2).flatten(2))
        return x + self.after(x)


class Block(nn.Module):
    """Three attentions: image attends to expression, expression to image, and the first result to the second."""

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self.image_asks, self.expression_asks, self.merge = (Attention(scale) for _ in range(3))

    def forward(self, image: Tensor, expression: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """(n, p, width) and (n, k, width) to the same; ``inside`` (n, p) marks the cells inside tissue."""
        from_expression = self.image_asks(image, expression)
        from_image = self.expression_asks(expression, image, inside)
        return self.merge(from_expression, from_image), from_image


class HistexNet(nn.Module):
    """Scaled expression of the cells of a tile from their image tokens and the nearest points of the spot lattice.

    Parameters
    ----------
    image
        Width of an image token: features, colour and position.
    genes
        Number of genes; an expression token has two more entries, its position.
    scale
        See :class:`Attention`.
    """

    width = WIDTH

    def __init__(self, image: int, genes: int, *, scale: float | None = None) -> None:
        super().__init__()
        self.embed_image, self.embed_expression = nn.Linear(image, WIDTH), nn.Linear(genes + 2, WIDTH)
        self.blocks = nn.ModuleList(Block(scale) for _ in range(2))
        self.head = EluHead(WIDTH + image, HIDDEN, genes)

    def latent(self, image: Tensor, expression: Tensor, inside: Tensor) -> Tensor:
        """(n, p, width) from (n, p, image) and (n, k, genes + 2) tokens; ``inside`` (n, p) marks tissue."""
        image, expression = self.embed_image(image), self.embed_expression(expression)
        for block in self.blocks:
            image, expression = block(image, expression, inside)
        return image

    def forward(self, latent: Tensor, image: Tensor) -> Tensor:
        """(..., genes) min-max scaled expression, above zero, from (..., width) latents and (..., image) tokens."""
        return self.head(torch.cat([latent, image], dim=-1))


class HistexDiscs(DiscLoss):
    """Train :class:`HistexNet` on tiles around spots; a batch is the input of :meth:`cells`, weights and scaled counts.

    Parameters
    ----------
    net
        The network.
    disc
        (side²,) bool, which cells of a tile lie under its spot.
    recipe
        How it is trained.
    """

    net: HistexNet
    disc: Tensor

    def __init__(self, net: HistexNet, disc: Tensor, *, recipe: Recipe) -> None:
        super().__init__(net, recipe=recipe)
        self.register_buffer("disc", disc, persistent=False)

    def cells(self, *tokens: Tensor) -> Tensor:
        """(n, p, g) from image and expression tokens of tiles and which of their cells (n, side²) are inside tissue."""
        image, expression, inside = tokens
        image = image.float()
        latent = self.net.latent(image, expression, inside)
        return self.net(latent[:, self.disc], image[:, self.disc])
