"""Convolutional layers for image patches."""

from __future__ import annotations

from torch import Tensor, nn


class ConvMixer(nn.Module):
    """Two depthwise convolutions with a skip connection, which mix places, and a pointwise one, which mixes channels.

    Parameters
    ----------
    channels
        Of input and output.
    kernel
        Side of the depthwise kernels, odd.

    References
    ----------
    Trockman & Kolter 2022, "Patches are all you need?", arXiv 2201.09792, equations 2 and 3, there with one depthwise
    convolution; with two in Hist2ST (Zeng et al. 2022).
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.places = nn.Sequential(*(layer for _ in range(2) for layer in _conv(channels, kernel, groups=channels)))
        self.channels = nn.Sequential(*_conv(channels, 1, groups=1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same."""
        return self.channels(x + self.places(x))


def _conv(channels: int, kernel: int, *, groups: int) -> list[nn.Module]:
    """A convolution that keeps the size, its activation and batch norm, in the order of the ConvMixer."""
    return [
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups),
        nn.GELU(),
        nn.BatchNorm2d(channels),
    ]
