"""The network of SpaBiT: a graph attention network over expression, fused with image vectors by attention both ways.

Shapes: ``s`` spots, ``n`` nodes (the spots, then other points), ``g`` genes. ``near`` (n, 1 + k) lists who each node
sees: itself, then spots. Nobody sees a point that is no spot.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from stsr.nn.layers.attention import Attention, TransformerBlock
from stsr.nn.layers.heads import ReluHead
from stsr.nn.training.regression import Regression

GRAPH_HEADS, CROSS_HEADS, HEADS, DEPTH = 6, 8, 4, 4
"""Heads of the graph's first layer, of the attention both ways and of the transformer, and the transformer's blocks."""


class GraphNet(nn.Module):
    """Two graph attention layers over expression, and a layer that tells the expression from them.

    Parameters
    ----------
    genes
        How many.
    hidden, width
        Width of a head of the first layer, whose heads are set side by side, and of the second; published: 650, 1024.
    """

    def __init__(self, genes: int, hidden: int, width: int) -> None:
        super().__init__()
        self.first = GATConv(genes, hidden, heads=GRAPH_HEADS)
        self.second = GATConv(GRAPH_HEADS * hidden, width)
        self.decode = nn.Linear(width, genes)

    def forward(self, expression: Tensor, near: Tensor) -> Tensor:
        """(n, width) from the expression of the spots (s, g); other nodes start from the mean of the spots they see."""
        points, spots = near[len(expression) :, 1:], near[:, 1:]
        filled = torch.cat([expression, F.embedding(points, expression).mean(dim=1)])
        edges = torch.stack([spots.flatten(), near[:, :1].expand_as(spots).flatten()])
        return self.second(F.elu(self.first(filled, edges)), edges)


class FusionNet(nn.Module):
    """Expression from what the graph and the image say of points.

    Parameters
    ----------
    states, features
        Width of what the graph says, and of an image vector; published: both 1024.
    width
        Of a token; published: 1024.
    genes
        How many.
    """

    def __init__(self, states: int, features: int, width: int, genes: int) -> None:
        super().__init__()
        self.embed_graph, self.embed_image = nn.Linear(states, width), nn.Linear(features, width)
        self.image_asks, self.graph_asks = (Attention(width, CROSS_HEADS, width // CROSS_HEADS) for _ in range(2))
        self.fuse = nn.Linear(2 * width, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, HEADS, width // HEADS, 2 * width) for _ in range(DEPTH))
        self.head = ReluHead(width, genes)

    def forward(self, states: Tensor, vectors: Tensor, near: Tensor | None = None) -> Tensor:
        """(n, m, g) from (n, m, states) and (n, m, features); ``near`` as in :mod:`stsr.nn.networks.points`."""
        graph, image = self.embed_graph(states), self.embed_image(vectors)
        told = image + self.image_asks(image, graph, near)
        shown = graph + self.graph_asks(graph, image, near)
        tokens = self.fuse(torch.cat([told, shown], dim=-1))
        for block in self.blocks:
            tokens = block(tokens, near)
        return self.head(tokens)


class SpaBitNet(nn.Module):
    """Both parts: :class:`GraphNet` and :class:`FusionNet`, whose parameters these are."""

    def __init__(self, features: int, genes: int, *, hidden: int = 650, width: int = 1024) -> None:
        super().__init__()
        self.graph = GraphNet(genes, hidden, width)
        self.fusion = FusionNet(width, features, width, genes)

    def forward(self, expression: Tensor, vectors: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """(n, g) expression, and what of it the graph alone tells, from (s, g) expression and (n, features) vectors."""
        states = self.graph(expression, near)
        return self.fusion(states[:, None], vectors[:, None], near)[:, 0], self.graph.decode(states)


class Reconstruction(Regression):
    """Squared error between the expression of spots and what the graph tells of it; all spots are seen."""

    net: GraphNet
    expression: Tensor
    near: Tensor

    def __init__(self, net: GraphNet, expression: Tensor, near: Tensor, *, learning_rate: float) -> None:
        super().__init__(net, learning_rate=learning_rate)
        self.register_buffer("expression", expression, persistent=False)
        self.register_buffer("near", near, persistent=False)

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (b,) numbers of spots and (b, g) targets."""
        spots, target = batch
        return F.mse_loss(self.net.decode(self.net(self.expression, self.near))[spots], target)


class Minibatch(Regression):
    """Squared error of the points of a batch, which see one another; what the graph says of them is given."""

    net: FusionNet

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (b, states) of the graph, (b, features) vectors and (b, g) targets."""
        states, vectors, target = batch
        return F.mse_loss(self.net(states[None], vectors[None])[0], target)


class Hidden(Regression):
    """Squared error of spots hidden from the others, of the whole network and of the graph alone.

    Parameters
    ----------
    expression, vectors
        (s, g) and (s, features) of all spots.
    around
        From the (b,) hidden spots to the order of all spots with these last, and ``near`` in that order.
    """

    net: SpaBitNet
    expression: Tensor
    vectors: Tensor

    def __init__(
        self,
        net: SpaBitNet,
        expression: Tensor,
        vectors: Tensor,
        around: Callable[[Tensor], tuple[Tensor, Tensor]],
        *,
        learning_rate: float,
    ) -> None:
        super().__init__(net, learning_rate=learning_rate)
        self.register_buffer("expression", expression, persistent=False)
        self.register_buffer("vectors", vectors, persistent=False)
        self.around = around

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (b,) numbers of spots and (b, g) targets."""
        hidden, target = batch
        order, near = self.around(hidden)
        seen = len(order) - len(hidden)
        told, graph = self.net(self.expression[order[:seen]], self.vectors[order], near)
        return F.mse_loss(told[seen:], target) + F.mse_loss(graph[seen:], target)
