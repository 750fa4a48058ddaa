"""Blocks of CMT: convolutions and attention in turn, on maps of tokens (Guo et al. 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 3.6
"""Width of the hidden layer of the feed-forward network, over that of a token."""


def conv_norm(inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution, GELU and batch normalisation, in CMT's order."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups), nn.GELU(), nn.BatchNorm2d(outputs)
    )


class MapNorm(nn.LayerNorm):
    """Layer normalisation of each token of a map (n, width, rows, cols)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ReducedAttention(nn.Module):
    """Attention of all tokens of a map to a map that a convolution has reduced, with a bias for each pair of places.

    Equation 4 of Guo et al. (2022): softmax(Q K'ᵀ / √d + B) V', with K' and V' from a depthwise convolution of the size and
    the stride ``reduction``.

    Parameters
    ----------
    width, heads
        Width of a token, and attention heads.
    reduction
        By how much rows and columns are reduced.
    """

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.merge = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.reduce = (
            nn.Sequential(nn.Conv2d(width, width, reduction, reduction, groups=width), nn.BatchNorm2d(width))
            if reduction > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(n, width, rows, cols) from a map of that shape and biases (heads, tokens, reduced tokens)."""
        tokens, few = (each.flatten(2).mT for each in (x, self.reduce(x)))
        query, key, value = (
            layer(of).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, of in ((self.query, tokens), (self.key, few), (self.value, few))
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.merge(mixed.transpose(1, 2).flatten(2)).mT.unflatten(2, x.shape[2:])


class CmtBlock(nn.Module):
    """Local perception unit, attention, and inverted residual feed-forward network, each added to its input.

    Equations 1 to 9 of Guo et al. (2022).

    Parameters
    ----------
    width, heads, reduction
        As in :class:`ReducedAttention`.
    """

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        hidden = int(EXPANSION * width)
        self.local = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.before, self.between = MapNorm(width), MapNorm(width)
        self.attention = ReducedAttention(width, heads, reduction)
        self.widen = conv_norm(width, hidden)
        self.mix = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.mixed = nn.Sequential(nn.GELU(), nn.BatchNorm2d(hidden))
        self.narrow = nn.Sequential(nn.Conv2d(hidden, width, 1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(n, width, rows, cols) from a map of that shape and the biases of its attention."""
        x = x + self.local(x)
        x = x + self.attention(self.before(x), bias)
        hidden = self.widen(self.between(x))
        return x + self.narrow(self.mixed(hidden + self.mix(hidden)))


class CmtStage(nn.Module):
    """Tokens of twice two pixels, and blocks on them, which share the biases of their attention.

    Parameters
    ----------
    inputs, width
        Width of a pixel of the input, and of a token.
    heads, reduction
        As in :class:`ReducedAttention`.
    depth
        Number of blocks.
    side
        Rows, and columns, of the map of tokens.
    """

    def __init__(self, inputs: int, width: int, heads: int, reduction: int, depth: int, side: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(inputs, width, 2, 2), MapNorm(width))
        self.bias = nn.Parameter(torch.zeros(heads, side**2, (side // reduction) ** 2))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.blocks = nn.ModuleList(CmtBlock(width, heads, reduction) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, side, side) from (n, inputs, 2 side, 2 side)."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, self.bias)
        return x
