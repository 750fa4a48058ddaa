"""The bidirectional cross-attention network of HISTEX.

Shapes: ``n`` tiles, ``p`` cells a tile, ``k`` points of the densified spot lattice, ``g`` genes.
"""

from __future__ import annotations

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS = 128, 8
HIDDEN = (1024, 512, 512, 512)
FLOOR = 0.01
"""Both the slope of the ELU below zero and the constant added to it: outputs stay above zero."""


class Attention(nn.Module):
    """Multi-head attention followed by a residual linear layer, ``x + Linear(x)``.

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

    def forward(self, query: Tensor, other: Tensor, seen: Tensor | None = None) -> Tensor:
        """(n, q, width) asks (n, k, width), of which only ``seen`` (n, k) answer; the answer is (n, q, width)."""

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

        answer = F.scaled_dot_product_attention(
            heads(self.query(query)),
            heads(self.key(other)),
            heads(self.value(other)),
            attn_mask=None if seen is None else seen[:, None, None, :],
            scale=self.scale,
        )
        x = self.merge(answer.transpose(1, 2).flatten(2))
        return x + self.after(x)


class Block(nn.Module):
    """Three attentions: image asks expression, expression asks image, the first answer asks the second."""

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self.image_asks, self.expression_asks, self.merge = (Attention(scale) for _ in range(3))

    def forward(self, image: Tensor, expression: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """(n, p, width) and (n, k, width) to the same; ``inside`` (n, p) marks the cells inside tissue."""
        told = self.image_asks(image, expression)
        shown = self.expression_asks(expression, image, inside)
        return self.merge(told, shown), shown


class HistexNet(nn.Module):
    """Scaled expression of the cells of a tile from their image tokens and the measured points around.

    Parameters
    ----------
    image
        Width of an image token: features, colour and position.
    genes
        How many; an expression token has two more, its position.
    scale
        See :class:`Attention`.
    """

    width = WIDTH

    def __init__(self, image: int, genes: int, *, scale: float | None = None) -> None:
        super().__init__()
        self.embed_image, self.embed_expression = nn.Linear(image, WIDTH), nn.Linear(genes + 2, WIDTH)
        self.blocks = nn.ModuleList(Block(scale) for _ in range(2))
        sizes = (WIDTH + image, *HIDDEN)
        layers = [
            layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.1))
        ]
        self.head = nn.Sequential(*layers, nn.Linear(sizes[-1], genes), nn.ELU(FLOOR))

    def latent(self, image: Tensor, expression: Tensor, inside: Tensor) -> Tensor:
        """(n, p, width) from (n, p, image) and (n, k, genes + 2) tokens; ``inside`` (n, p) marks tissue."""
        image, expression = self.embed_image(image), self.embed_expression(expression)
        for block in self.blocks:
            image, expression = block(image, expression, inside)
        return image

    def forward(self, latent: Tensor, image: Tensor) -> Tensor:
        """(..., genes) min-max scaled expression, above zero, from (..., width) latents and (..., image) tokens."""
        return self.head(torch.cat([latent, image], dim=-1)) + FLOOR


class DiscMeans(lightning.LightningModule):
    """Squared error between a spot and the mean over the cells of its disc.

    Parameters
    ----------
    net
        The network.
    disc
        (p,) bool, which cells of a tile lie under its spot.
    learning_rate
        Of Adam.
    """

    disc: Tensor

    def __init__(self, net: HistexNet, disc: Tensor, *, learning_rate: float) -> None:
        super().__init__()
        self.net, self.learning_rate = net, learning_rate
        self.register_buffer("disc", disc, persistent=False)

    def loss(self, batch: list[Tensor]) -> Tensor:
        """Mean over spots and genes; a batch is tokens of both sides, ``inside`` and the (n, g) scaled targets."""
        image, expression, inside, target = batch
        image, disc = image.float(), self.disc
        latent = self.net.latent(image, expression, inside)
        cells = self.net(latent[:, disc], image[:, disc])
        share = inside[:, disc, None].float()
        return F.mse_loss((cells * share).sum(dim=1) / share.sum(dim=1), target)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """One batch of spots."""
        loss = self.loss(batch)
        self.log("train", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]), prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """One batch of held-out spots."""
        self.log("held_out", self.loss(batch), on_epoch=True, batch_size=len(batch[0]), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam at a constant rate."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
