"""Genes that take turns in training: of many, each step looks at some, and networks' widest products stay short."""

from __future__ import annotations

import torch
from torch import Tensor

AT_ONCE = 512
"""Genes that a step of training looks at, at most."""

ALL = slice(None)
"""All genes."""


def turn_of(genes: int, step: int) -> slice:
    """The genes whose turn it is at a step of training."""
    turns = -(-genes // AT_ONCE)
    return slice(step % turns, None, turns)


def some(values: Tensor, genes: slice) -> Tensor:
    """Of (..., g + 1) values those of some genes, and the last, the library size's."""
    return torch.cat([values[..., :-1][..., genes], values[..., -1:]], dim=-1)
