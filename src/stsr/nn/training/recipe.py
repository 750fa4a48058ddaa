"""How a network is trained, as data: loss, optimiser, learning rate by epoch, batches; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from stsr.options import Choice, Number, Options, Switch, Whole

LOSSES = ("mse", "smooth_l1")
REDUCTIONS = ("mean", "sum")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("none", "step", "cosine", "polynomial")

SYMMETRIES = 8
"""Of a square: four rotations, and each of them mirrored."""

CLIP_NORM = 1.0
"""Largest norm of the gradient in the methods that clip it; longer ones are scaled down to it."""


@dataclass(frozen=True)
class Recipe(Options):
    r"""How a network is trained on a dataset of spots.

    Parameters
    ----------
    loss
        ``"mse"``, the squared error, or ``"smooth_l1"``, which is linear beyond an error of 1 (Huber 1964).
    reduction
        Over the spots of a batch: ``"mean"`` or ``"sum"``, which multiplies the gradient by the size of the batch. Over
        genes it is the mean in both, and recorded losses are means.
    optimizer
        ``"adam"`` (Kingma & Ba 2015), ``"adamw"`` (Loshchilov & Hutter 2019) or ``"sgd"``.
    learning_rate
        Before the schedule.
    momentum
        Of ``"sgd"``.
    weight_decay
        Weight of the squared norm of the weights in the gradient or, with ``"adamw"``, share of the learning rate by which
        weights shrink at a step.
    schedule
        Of the learning rate by epoch :math:`e`, which multiplies it by a factor. ``"none"``: 1. ``"step"``:
        :math:`\gamma^{\lfloor e / p \rfloor}`. ``"cosine"``: :math:`(1 + \cos(\pi (e \bmod p) / p)) / 2`, with warm restarts
        (Loshchilov & Hutter 2017, equation 5). ``"polynomial"``: :math:`(1 - e / E)^q`, :math:`E` being ``epochs``.
    period
        :math:`p`, epochs; None is all of them, for ``"cosine"``.
    factor
        :math:`\gamma` of ``"step"``.
    power
        :math:`q` of ``"polynomial"``.
    clip_norm
        Largest norm of the gradient; None does not clip it.
    epochs
        At most this many.
    batch
        Spots of a batch; None makes each section a batch.
    shuffle
        Whether spots, or sections, are in a new random order each epoch.
    symmetries
        Whether patches are turned and mirrored at random in training: each by itself, or a whole section alike.
    keep
        ``"best"`` keeps the weights of the epoch with the lowest validation loss, ``"last"`` those of the last epoch.
    patience
        Epochs without a lower validation loss after which training ends; None trains for all epochs.

    Raises
    ------
    ValueError
        For a value that is not allowed, or an option that the others leave no use for.

    Examples
    --------
    >>> Recipe(optimizer="sgd", learning_rate=1e-6, momentum=0.9, reduction="sum").batch
    32
    >>> Recipe(optimizer="adam", momentum=0.9)
    Traceback (most recent call last):
        ...
    ValueError: momentum=0.9 has no use with optimizer='adam'; leave it out or pass optimizer='sgd'.
    """

    loss: Annotated[str, Choice(LOSSES)] = "mse"
    reduction: Annotated[str, Choice(REDUCTIONS)] = "mean"
    optimizer: Annotated[str, Choice(OPTIMIZERS)] = "adam"
    learning_rate: Annotated[float, Number(1e-12, 10)] = 1e-4
    momentum: Annotated[float, Number(0, 0.9999)] = 0.0
    weight_decay: Annotated[float, Number(0, 10)] = 0.0
    schedule: Annotated[str, Choice(SCHEDULES)] = "none"
    # __post_init__ refuses None where it is used.
    period: Annotated[int, Whole(1, 100_000, optional=True)] = None  # type: ignore[assignment]
    factor: Annotated[float, Number(1e-6, 1, optional=True)] = None  # type: ignore[assignment]
    power: Annotated[float, Number(0.01, 100, optional=True)] = None  # type: ignore[assignment]
    clip_norm: Annotated[float | None, Number(1e-6, 1e6, optional=True)] = None
    epochs: Annotated[int, Whole(1, 100_000)] = 50
    batch: Annotated[int | None, Whole(1, 10_000_000, optional=True)] = 32
    shuffle: Annotated[bool, Switch()] = True
    symmetries: Annotated[bool, Switch()] = False
    keep: Annotated[str, Choice(("best", "last"))] = "best"
    patience: Annotated[int | None, Whole(1, 100_000, optional=True)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, other, used, needed in (
            ("momentum", "optimizer", ("sgd",), ()),
            ("period", "schedule", ("step", "cosine"), ("step",)),
            ("factor", "schedule", ("step",), ("step",)),
            ("power", "schedule", ("polynomial",), ("polynomial",)),
            ("patience", "keep", ("best",), ()),
        ):
            value, chosen = getattr(self, name), getattr(self, other)
            if value and chosen not in used:
                remedy = " or ".join(f"{other}={choice!r}" for choice in used)
                raise ValueError(f"{name}={value!r} has no use with {other}={chosen!r}; leave it out or pass {remedy}.")
            if value is None and chosen in needed:
                raise ValueError(f"{name}=None is not allowed with {other}={chosen!r}; pass a number.")
