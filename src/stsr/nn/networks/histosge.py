"""The network of HisToSGE: image vectors with learned positional embeddings, one transformer block, a head for the genes."""

from __future__ import annotations

from torch import Tensor, nn

from stsr.nn.layers.attention import TransformerBlock
from stsr.nn.layers.heads import ReluHead
from stsr.nn.layers.position import Places
from stsr.nn.training.recipe import Recipe
from stsr.nn.training.regression import Regression

SLOTS = 512
"""Learned embeddings along x, and as many along y."""

HEADS, SIZE = 4, 64
"""Attention heads and the width of each."""


class HistoSgeNet(nn.Module):
    """Expression of points from their image vectors and positions.

    Parameters
    ----------
    features
        Width of an image vector, and of the tokens; published: 1024.
    genes
        Number of genes.
    blank
        See :class:`~stsr.nn.layers.position.Places`.
    """

    def __init__(self, features: int, genes: int, *, blank: bool = False) -> None:
        super().__init__()
        self.places = Places(features, SLOTS, blank=blank)
        self.block = TransformerBlock(features, HEADS, SIZE, 2 * features)
        self.head = ReluHead(features, genes)

    def forward(self, vectors: Tensor, place: Tensor, near: Tensor | None = None) -> Tensor:
        """(q, m, genes) from image vectors (n, m, features) and positions (n, m, 2); ``near`` is as in :mod:`stsr.nn.layers.attention`."""
        return self.head(self.block(vectors + self.places(place), near))


class Chunks(Regression):
    """Squared error of the points of a batch, with full self-attention among them."""

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (n, features) vectors, (n, 2) positions and (n, genes) targets."""
        vectors, place, target = batch
        return self.error(self.net(vectors[None], place[None])[0], target)


class Neighbourhoods(Regression):
    """Squared error of points that attend to neighbours among ``vectors`` (n, features) at positions ``place`` (n, 2)."""

    vectors: Tensor
    place: Tensor

    def __init__(self, net: HistoSgeNet, vectors: Tensor, place: Tensor, *, recipe: Recipe) -> None:
        super().__init__(net, recipe=recipe)
        self.register_buffer("vectors", vectors[:, None], persistent=False)
        self.register_buffer("place", place[:, None], persistent=False)

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is the neighbour index (q, k) and (q, genes) targets."""
        near, target = batch
        return self.error(self.net(self.vectors, self.place, near)[:, 0], target)
