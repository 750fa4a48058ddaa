"""A graph of the tokens of a map: its edges, convolutions of nodes and edges (CensNet), and how they return to the map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EDGES = 4
"""Edges of a graph, over its nodes."""

FACTS = 4
"""What is known of an edge at first: attention, distance and cosine of its two tokens, and how far apart they lie."""

HIDDEN = 16
"""Width of an edge after its convolution."""

SQUEEZED = 4
"""By how much channel attention narrows its hidden layer."""


class CensNetLayer(nn.Module):
    r"""Convolution over a graph in which an edge's weight comes from its own features, or a node's from its own.

    Equations 3 and 4 of Jiang et al. (2019), "CensNet: Convolution with Edge-Node Switching in Graph Neural Networks":
    :math:`\sigma((T\,\mathrm{diag}(H_e p)\,T^\top \odot \tilde A)\,H W)`. The incidence :math:`T` (nodes, edges) is 1 where a
    node is an end of an edge. :math:`\tilde A` is the adjacency of nodes with self-loops, symmetrically normalised by
    degree. With the transposed incidence, nodes and edges change places.

    Parameters
    ----------
    width, outputs
        Of what is convolved.
    others
        Width of what gives the weights.
    """

    def __init__(self, width: int, outputs: int, others: int) -> None:
        super().__init__()
        self.linear, self.weigh = nn.Linear(width, outputs), nn.Linear(others, 1, bias=False)

    def forward(self, x: Tensor, others: Tensor, incidence: Tensor) -> Tensor:
        """(n, nodes, outputs) from nodes (n, nodes, width), edges (n, edges, others) and incidence (n, nodes, edges)."""
        shared = incidence @ incidence.mT
        adjacent = (shared > 0).to(x.dtype)
        adjacent.diagonal(dim1=-2, dim2=-1).fill_(1)
        scale = adjacent.sum(dim=-1).rsqrt()
        weights = (incidence * self.weigh(others).mT) @ incidence.mT
        mixing = weights * adjacent * scale[..., None] * scale[..., None, :]
        return F.relu(mixing @ self.linear(x))


class TokenGraph(nn.Module):
    """What tokens of a map learn from the tokens that attend to them most, added to the map.

    Of all pairs of tokens, those with the highest attention become edges, four times as many as there are tokens. Nodes
    and edges are convolved in turn, and channel attention (Hu et al. 2018) weighs map and graph against each other.

    Parameters
    ----------
    width
        Of a token.
    side
        Rows, and columns, of the map, 2 or more.
    """

    pairs: Tensor
    apart: Tensor

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.first, self.last = CensNetLayer(width, width, FACTS), CensNetLayer(width, width, HIDDEN)
        self.edge = CensNetLayer(FACTS, HIDDEN, width)
        self.squeeze = nn.Sequential(
            nn.Linear(2 * width, 2 * width // SQUEEZED),
            nn.ReLU(),
            nn.Linear(2 * width // SQUEEZED, 2 * width),
            nn.Sigmoid(),
        )
        self.merge = nn.Conv2d(2 * width, width, 1)
        tokens = side**2
        pairs = torch.triu_indices(tokens, tokens, 1)
        place = torch.stack([torch.arange(tokens) // side, torch.arange(tokens) % side], dim=-1).float()
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("apart", (place[pairs[0]] - place[pairs[1]]).norm(dim=-1) / side, persistent=False)
        self.edges = min(EDGES * tokens, pairs.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, side, side) from a map of that shape."""
        tokens = x.flatten(2).mT
        ends, facts = self.connect(tokens)
        incidence = F.one_hot(ends, tokens.shape[1]).sum(dim=1).mT.to(tokens.dtype)
        nodes = self.first(tokens, facts, incidence)
        edges = self.edge(facts, nodes, incidence.mT)
        nodes = self.last(nodes, edges, incidence)
        both = torch.cat([x, nodes.mT.unflatten(2, x.shape[2:])], dim=1)
        share = self.squeeze(both.mean(dim=(2, 3)))
        return x + self.merge(both * share[..., None, None])

    def connect(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 2, edges) tokens at the ends of each edge, and (n, edges, 4) what is known of it, from tokens (n, tokens, width)."""
        scale = tokens.shape[-1] ** -0.5
        attention = torch.softmax(self.query(tokens) @ self.key(tokens).mT * scale, dim=-1)
        mutual = ((attention + attention.mT) / 2)[:, self.pairs[0], self.pairs[1]]
        strongest, chosen = mutual.topk(self.edges, dim=-1)
        ends = self.pairs[:, chosen].movedim(0, 1)
        one, other = (torch.take_along_dim(tokens, end[..., None], dim=1) for end in ends.unbind(dim=1))
        distance = (one - other).norm(dim=-1) * scale
        facts = [strongest, distance, F.cosine_similarity(one, other, dim=-1), self.apart[chosen]]
        return ends, torch.stack(facts, dim=-1)
