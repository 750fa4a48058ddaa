"""Convolutional layers for image patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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


class DynamicConv(nn.Module):
    """A convolution whose kernels depend on the image: omni-dimensional dynamic convolution.

    The kernel for an image is a weighted sum of several. Four attentions, all from the image's mean over places, scale it
    along each of its dimensions: places in the kernel, input channels, output channels, and the kernels of the sum.

    Parameters
    ----------
    channels, outputs
        Input and output channels.
    kernel
        Side of the kernels and stride: the squares that they cover do not overlap.
    kernels
        In the sum.
    hidden
        Width of the layer that the attentions share.

    References
    ----------
    Li, Zhou & Yao 2022, "Omni-dimensional dynamic convolution", ICLR, section 3.2.
    """

    def __init__(self, channels: int, outputs: int, kernel: int, *, kernels: int = 4, hidden: int = 16) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(kernels, outputs, channels, kernel, kernel))
        for one in self.weight:
            nn.init.kaiming_normal_(one, mode="fan_out", nonlinearity="relu")
        self.shared = nn.Sequential(nn.Linear(channels, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU())
        self.inputs, self.outputs = nn.Linear(hidden, channels), nn.Linear(hidden, outputs)
        self.places, self.kernels = nn.Linear(hidden, kernel**2), nn.Linear(hidden, kernels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, outputs, h / kernel, w / kernel) from (n, channels, h, w)."""
        kernel = self.weight.shape[-1]
        seen = self.shared(x.mean(dim=(2, 3)))
        inputs, outputs, places = (layer(seen).sigmoid() for layer in (self.inputs, self.outputs, self.places))
        # one product for all images: input channels are scaled before, output channels after, the rest in the kernels
        weight = torch.einsum(
            "nk,koihw,nhw->noihw", self.kernels(seen).softmax(dim=1), self.weight, places.unflatten(1, (kernel, kernel))
        )
        squares = F.unfold(x * inputs[..., None, None], kernel, stride=kernel)
        y = weight.flatten(2) @ squares * outputs[..., None]
        return y.unflatten(2, (x.shape[2] // kernel, x.shape[3] // kernel))
