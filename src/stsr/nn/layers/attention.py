"""Attention among the points of a row, or among neighbours that are listed, and transformer blocks of it.

Shapes: tokens are (n, m, width). Who sees whom is said by ``near``: with None the ``m`` points of a row see one
another; with (q, k) whole numbers, ``m`` is 1 and the ``k`` rows listed are seen by each of ``q`` points, the first of
them being the point itself.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def askers(x: Tensor, near: Tensor | None) -> Tensor:
    """The points that ask: all of (n, m, ...), or those that the rows of ``near`` begin with."""
    return x if near is None else x[near[:, 0]]


class Attention(nn.Module):
    """Multi-head attention; a point is projected once, however many others see it.

    Parameters
    ----------
    width, heads, size
        Width of a token, attention heads, and the width of each.
    """

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.seen = nn.Linear(width, heads * size), nn.Linear(width, 2 * heads * size)
        self.merge = nn.Linear(heads * size, width)

    def forward(self, asking: Tensor, seen: Tensor, near: Tensor | None = None) -> Tensor:
        """What (q, m, width) learn from the tokens (n, m, width) they see."""
        answers = self.seen(seen)
        if near is not None:
            answers = F.embedding(near, answers[:, 0])
        key, value = answers.unflatten(-1, (2, self.heads, -1)).unbind(dim=2)
        query = self.query(asking).unflatten(-1, (self.heads, -1))
        mixed = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (query, key, value)))
        return self.merge(mixed.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """A pre-norm transformer block: ``x + attention``, then ``x + two layers``."""

    def __init__(self, width: int, heads: int, size: int, hidden: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, size)
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, near: Tensor | None = None) -> Tensor:
        """(n, m, width) to (q, m, width)."""
        normed = self.before(x)
        x = askers(x, near) + self.attention(askers(normed, near), normed, near)
        return x + self.layers(self.between(x))
