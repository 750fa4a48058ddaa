"""What the networks of HisToSGE and SpaBiT share: tokens of points that look at each other, and a head for their genes.

Shapes: tokens are (n, m, width). Who sees whom is said by ``near``: with None the ``m`` points of a row see one
another; with (q, k) whole numbers, ``m`` is 1 and the ``k`` rows listed are seen by each of ``q`` points, the first of
them being the point itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 2048
"""Width of the layer before the genes."""


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


class Block(nn.Module):
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


class Head(nn.Module):
    """From tokens (..., width) to expression (..., genes), never below zero."""

    def __init__(self, width: int, genes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, HEAD), nn.ReLU(), nn.LayerNorm(HEAD))
        self.out = nn.Linear(HEAD, genes)

    def forward(self, tokens: Tensor) -> Tensor:
        """The expression."""
        return F.relu(self.out(self.hidden(tokens)))

    def start_at(self, mean: Tensor) -> None:
        """Begin to learn from mean expression (genes,): a rare gene that begins below zero may stay there for good."""
        with torch.no_grad():
            self.out.bias.copy_(mean)
