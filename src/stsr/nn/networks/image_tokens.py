"""Image tokens learned end to end: a small convolutional network from H&E pixels to blocks of grid cells."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TINY = 1e-5
"""Added to variances before they divide."""


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each position of (n, channels, h, w).

    Each position is normalised by itself, so a map does not depend on the window it was computed in.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (n, channels, h, w)."""
        x = x - x.mean(dim=1, keepdim=True)
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + TINY) * self.scale


class DilatedBlock(nn.Module):
    """Dilated 3 x 3 convolution and a pointwise one; the caller adds the residual."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.spread = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same."""
        return self.mix(F.gelu(self.spread(self.norm(x))))


class ImageTokens(nn.Module):
    """H&E window (n, 3, h k, w k) to one token per block (n, dim, h, w); a block is ``k = 2 ** halvings`` pixels wide.

    Parameters
    ----------
    dim
        Width of the tokens.
    halvings
        How often the resolution is halved on the way from pixels to blocks.
    stem
        Width at half the resolution of the pixels; it doubles with every halving, up to ``dim``.
    dilations
        One dilated convolution each, at the resolution of blocks; they set the field of view.
    """

    def __init__(self, dim: int, halvings: int, *, stem: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        widths = [min(stem * 2**i, dim) for i in range(halvings - 1)] + [dim]
        layers: list[nn.Module] = [_halve(3, widths[0]) if halvings else nn.Conv2d(3, dim, 3, padding=1)]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.GELU(), _halve(before, after)]
        self.halvings = halvings
        self.stem = nn.Sequential(*layers)
        self.blocks = nn.ModuleList(DilatedBlock(dim, dilation) for dilation in dilations)
        self.norm = ChannelNorm(dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Tokens of a window of normalised pixels."""
        x = self.stem(pixels)
        for block in self.blocks:
            x = x + block(x)
        return self.norm(x)


def _halve(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 4, stride=2, padding=1)


def field_of_view(dilations: Sequence[int]) -> int:
    """Radius of a token's receptive field in blocks: one from the stem, and the sum of the dilations."""
    return 1 + sum(dilations)
