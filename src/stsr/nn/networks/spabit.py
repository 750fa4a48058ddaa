"""The network of SpaBiT: graph attention over expression, fused with image vectors by bidirectional cross-attention.

Shapes: ``s`` spots, ``n`` nodes (the spots, then other points), ``g`` genes. ``near`` (n, 1 + k) is the neighbour index:
each row lists the node itself, then spots. Points that are no spots are nobody's neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from stsr.nn.layers.attention import Attention, TransformerBlock
from stsr.nn.layers.heads import ReluHead
from stsr.nn.training.recipe import Recipe
from stsr.nn.training.regression import Regression

GRAPH_HEADS, CROSS_HEADS, HEADS, BLOCKS = 6, 8, 4, 4
"""Heads of the first graph layer, of the cross-attention and of the transformer; number of transformer blocks."""


class GraphNet(nn.Module):
    """Two graph attention layers over expression, and a linear decoder of the expression.

    Parameters
    ----------
    genes
        Number of genes.
    hidden, width
        Width of a head of the first layer, whose heads are concatenated, and of the second layer; published: 650, 1024.
    """

    def __init__(self, genes: int, hidden: int, width: int) -> None:
        super().__init__()
        self.first = GATConv(genes, hidden, heads=GRAPH_HEADS)
        self.second = GATConv(GRAPH_HEADS * hidden, width)
        self.decode = nn.Linear(width, genes)

    def forward(self, expression: Tensor, near: Tensor) -> Tensor:
        """(n, width) node embeddings from the expression of the spots (s, g); other nodes get the mean of their neighbours."""
        points, spots = near[len(expression) :, 1:], near[:, 1:]
        filled = torch.cat([expression, F.embedding(points, expression).mean(dim=1)])
        edges = torch.stack([spots.flatten(), near[:, :1].expand_as(spots).flatten()])
        return self.second(F.elu(self.first(filled, edges)), edges)


class FusionNet(nn.Module):
    """Expression of points from their node embeddings and image vectors.

    Parameters
    ----------
    nodes, features
        Width of a node embedding and of an image vector; published: both 1024.
    width
        Of a token; published: 1024.
    genes
        Number of genes.
    """

    def __init__(self, nodes: int, features: int, width: int, genes: int) -> None:
        super().__init__()
        self.embed_graph, self.embed_image = nn.Linear(nodes, width), nn.Linear(features, width)
        self.image_asks, self.graph_asks = (Attention(width, CROSS_HEADS, width // CROSS_HEADS) for _ in range(2))
        self.fuse = nn.Linear(2 * width, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, HEADS, width // HEADS, 2 * width) for _ in range(BLOCKS))
        self.head = ReluHead(width, genes)

    def forward(self, nodes: Tensor, vectors: Tensor, near: Tensor | None = None) -> Tensor:
        """(n, m, g) from (n, m, nodes) and (n, m, features); ``near`` is as in :mod:`stsr.nn.layers.attention`."""
        graph, image = self.embed_graph(nodes), self.embed_image(vectors)
        from_graph = image + self.image_asks(image, graph, near)
        from_image = graph + self.graph_asks(graph, image, near)
        tokens = self.fuse(torch.cat([from_graph, from_image], dim=-1))
        for block in self.blocks:
            tokens = block(tokens, near)
        return self.head(tokens)


class SpaBitNet(nn.Module):
    """:class:`GraphNet`, then :class:`FusionNet`; see there for the parameters."""

    def __init__(self, features: int, genes: int, *, hidden: int = 650, width: int = 1024) -> None:
        super().__init__()
        self.graph = GraphNet(genes, hidden, width)
        self.fusion = FusionNet(width, features, width, genes)

    def forward(self, expression: Tensor, vectors: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """(n, g) expression, and that decoded from the graph alone, from (s, g) expression and (n, features) vectors."""
        nodes = self.graph(expression, near)
        return self.fusion(nodes[:, None], vectors[:, None], near)[:, 0], self.graph.decode(nodes)


class Reconstruction(Regression):
    """Squared error of the expression that the graph decodes for spots; no spot is hidden from it."""

    net: GraphNet
    expression: Tensor
    near: Tensor

    def __init__(self, net: GraphNet, expression: Tensor, near: Tensor, *, recipe: Recipe) -> None:
        super().__init__(net, recipe=recipe)
        self.register_buffer("expression", expression, persistent=False)
        self.register_buffer("near", near, persistent=False)

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (b,) indices of spots and (b, g) targets."""
        spots, target = batch
        return self.error(self.net.decode(self.net(self.expression, self.near))[spots], target)


class Minibatch(Regression):
    """Squared error of the points of a batch, with full self-attention among them; their node embeddings are fixed."""

    net: FusionNet

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (b, nodes) node embeddings, (b, features) vectors and (b, g) targets."""
        nodes, vectors, target = batch
        return self.error(self.net(nodes[None], vectors[None])[0], target)


class Hidden(Regression):
    """Squared error of hidden spots: that of the whole network plus that of the graph alone.

    Parameters
    ----------
    expression, vectors
        (s, g) and (s, features) of all spots.
    around
        From the (b,) hidden spots to an order of all spots in which these come last, and ``near`` in that order.
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
        recipe: Recipe,
    ) -> None:
        super().__init__(net, recipe=recipe)
        self.register_buffer("expression", expression, persistent=False)
        self.register_buffer("vectors", vectors, persistent=False)
        self.around = around

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (b,) indices of spots and (b, g) targets."""
        hidden, target = batch
        order, near = self.around(hidden)
        visible = len(order) - len(hidden)
        fused, graph = self.net(self.expression[order[:visible]], self.vectors[order], near)
        return self.error(fused[visible:], target) + self.error(graph[visible:], target)
