"""Multi-head attention, full or restricted to listed neighbours, and transformer blocks of it.

Shapes: tokens are (n, m, width). ``near`` is the neighbour index. None is full self-attention among the ``m`` points of
each row. A (q, k) integer array restricts attention: ``m`` is 1, and each of ``q`` points attends to the ``k`` rows
listed for it, of which the first is the point itself.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.layers.mlp import perceptron


def query_points(x: Tensor, near: Tensor | None) -> Tensor:
    """The points whose queries are computed: all of (n, m, ...), or those in the first column of ``near``."""
    return x if near is None else x[near[:, 0]]


class Attention(nn.Module):
    """Multi-head attention; keys and values are projected once per point and then gathered for each query.

    Not :class:`torch.nn.MultiheadAttention`, whose heads together are as wide as a token, nor timm's, which is
    self-attention alone; and neither gathers listed neighbours after the projection. Without them it is torch's own.

    Parameters
    ----------
    width, heads, size
        Width of a token, attention heads, and the width of each.
    bias
        Whether queries, keys and values have biases.
    """

    def __init__(self, width: int, heads: int, size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.seen = nn.Linear(width, heads * size, bias), nn.Linear(width, 2 * heads * size, bias)
        self.merge = nn.Linear(heads * size, width)

    def forward(self, queries: Tensor, source: Tensor, near: Tensor | None = None) -> Tensor:
        """(q, m, width) output for the query tokens (q, m, width), which attend to the tokens ``source`` (n, m, width)."""
        key_value = self.seen(source)
        if near is not None:
            key_value = F.embedding(near, key_value[:, 0])
        key, value = key_value.unflatten(-1, (2, self.heads, -1)).unbind(dim=2)
        query = self.query(queries).unflatten(-1, (self.heads, -1))
        mixed = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (query, key, value)))
        return self.merge(mixed.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """A pre-norm transformer block: ``x + attention``, then ``x + feed-forward``.

    Parameters
    ----------
    width, heads, size, hidden
        Width of a token, attention heads, the width of each, and that of the hidden layer.
    bias
        See :class:`Attention`.
    dropout
        Of the attention's output and in the feed-forward layers.
    """

    def __init__(
        self, width: int, heads: int, size: int, hidden: int, *, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, size, bias=bias)
        self.layers = perceptron(width, hidden, width, dropout=dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, near: Tensor | None = None) -> Tensor:
        """(n, m, width) to (q, m, width)."""
        normed = self.before(x)
        x = query_points(x, near) + self.drop(self.attention(query_points(normed, near), normed, near))
        return x + self.layers(self.between(x))
