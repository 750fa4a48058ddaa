"""Multilayer perceptrons."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def perceptron(*widths: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers from the first width to the last, with GELUs between them.

    Dropout layers, if any, follow each GELU and the last layer, as in the perceptron of a vision transformer (Dosovitskiy
    et al. 2021, appendix B.1). torchvision's ``MLP`` and timm's ``Mlp`` always have dropout layers, which would number the
    arrays of a model differently; timm's has two layers only.

    Examples
    --------
    >>> [type(layer).__name__ for layer in perceptron(8, 16, 4)]
    ['Linear', 'GELU', 'Linear']
    """
    layers: list[nn.Module] = []
    drop = [nn.Dropout(dropout)] if dropout else []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.GELU(), *drop]
    # a linear layer is the last but its own dropout: the GELU between them goes
    return nn.Sequential(*layers[: len(layers) - 1 - len(drop)], *drop)
