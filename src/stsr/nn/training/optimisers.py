"""The optimiser and the schedule that a recipe names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from stsr.nn.training.recipe import Recipe


def make_optimizer(parameters: Iterable[nn.Parameter], recipe: Recipe, *, fused: bool) -> torch.optim.Optimizer:
    """The optimiser of a recipe, with its first learning rate; ``fused`` updates all weights in one pass, which is faster."""
    options: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": fused}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **options)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(parameters, **options)


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe) -> lr_scheduler.LRScheduler | None:
    """The schedule of a recipe, to be advanced once an epoch; None for a constant learning rate."""
    if recipe.schedule == "step":
        return lr_scheduler.StepLR(optimizer, recipe.period, recipe.factor)
    if recipe.schedule == "cosine":
        return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, recipe.period or recipe.epochs)
    if recipe.schedule == "polynomial":
        return lr_scheduler.PolynomialLR(optimizer, recipe.epochs, recipe.power)
    return None
