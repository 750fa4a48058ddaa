"""Multilayer perceptrons."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers from the first width to the last, with GELUs between them.

    torchvision's ``MLP`` and timm's ``Mlp`` are the same arithmetic with dropout layers between, which nothing here uses;
    timm's has two layers only.

    Examples
    --------
    >>> [type(layer).__name__ for layer in perceptron(8, 16, 4)]
    ['Linear', 'GELU', 'Linear']
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.GELU(), nn.Linear(before, after)]
    return nn.Sequential(*layers[1:])
