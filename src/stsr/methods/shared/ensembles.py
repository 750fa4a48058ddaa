"""Ensembles: networks of one kind that differ by their seed, and the names of their arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Arrays, Training
from stsr.methods.expected import Array, network
from stsr.nn.training.recipe import CLIP_NORM, Recipe
from stsr.options import Number, Options, Switch, Whole

if TYPE_CHECKING:
    from torch import nn

    from stsr.nn.training.regression import Regression

    Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class EnsembleConfig(Options):
    """Options of methods that train an ensemble of ``states`` networks; a subclass documents them and what None means."""

    corrected: ClassVar[dict[str, Any]]
    published: ClassVar[dict[str, Any]]

    faithful: Annotated[bool, Switch()] = False
    # __post_init__ replaces None.
    epochs: Annotated[int, Whole(1, 100_000, optional=True)] = None  # type: ignore[assignment]
    states: Annotated[int, Whole(1, 32, optional=True)] = None  # type: ignore[assignment]
    learning_rate: Annotated[float, Number(1e-8, 0.1, optional=True)] = None  # type: ignore[assignment]
    batch: Annotated[int, Whole(1, 10_000_000, optional=True)] = None  # type: ignore[assignment]
    patience: Annotated[int, Whole(1, 100_000)] = 5
    held_out: Annotated[float, Number(0.001, 0.9)] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (self.published if self.faithful else self.corrected).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def recipe(self, **changes: Any) -> Recipe:
        """How a member is trained, with changes: as published, for all epochs."""
        options = {
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "batch": self.batch,
            "patience": None if self.faithful else self.patience,
            "clip_norm": CLIP_NORM,
        }
        return Recipe(**(options | changes))


def train_ensemble(
    module: Callable[[], Regression],
    spots: Sequence[NDArray[Any]],
    config: EnsembleConfig,
    *,
    seed: int,
    training: Training,
) -> tuple[Arrays, dict[str, list[float]]]:
    """Train ensemble members, which differ by their seed.

    Parameters
    ----------
    module
        Makes an untrained network with its loss and recipe.
    spots
        Arrays with an entry per spot, of which batches for ``module`` are made.
    config
        How many to train. By default each member holds out other spots for early stopping. As published, no spot is held
        out, and the epoch with the lowest loss on all spots is kept.

    Returns
    -------
    Weights as ``net{state}/{name}``, and losses by epoch: ``"train"``, ``"held_out"``, ``"train 2"`` and so on.
    """
    import torch
    from torch.utils.data import Subset, TensorDataset

    from stsr.nn.training.fit import task
    from stsr.nn.training.trainer import fork_seed, train

    data = TensorDataset(*map(torch.as_tensor, spots))
    tasks = []
    for state in range(config.states):
        rng = np.random.default_rng((seed, state))
        order = rng.permutation(len(data)).tolist()
        cut = max(1, round(config.held_out * len(data)))
        held_out, learned = (range(len(data)),) * 2 if config.faithful else (order[:cut], order[cut:])
        own = int(rng.integers(2**31))
        with fork_seed(own):
            learner = module()
        tasks.append(task(learner, Subset(data, learned), Subset(data, held_out), seed=own))
    with fork_seed(seed):
        losses = train(tasks, training=training)
    return numbered([(done.module.net, history) for done, history in zip(tasks, losses, strict=True)])


def numbered(trained: Sequence[tuple[nn.Module, dict[str, list[float]]]]) -> tuple[Arrays, dict[str, list[float]]]:
    """Weights and losses of networks under the names ``net0/...``, ``net1/...`` and ``train``, ``train 2`` ..."""
    arrays: Arrays = {}
    history: dict[str, list[float]] = {}
    for number, (net, losses) in enumerate(trained):
        arrays |= {f"net{number}/{name}": value.cpu().numpy() for name, value in net.state_dict().items()}
        history |= {name + (f" {number + 1}" if number else ""): values for name, values in losses.items()}
    return arrays, history


def networks(make: Callable[[], nn.Module], count: int, *, first: int = 0) -> Iterator[tuple[str, Array]]:
    """The arrays that :func:`numbered` makes of ``count`` networks."""
    for state in range(first, first + count):
        yield from network(make, f"net{state}/")


def load_states(untrained: Iterable[Net], arrays: Arrays, device: str) -> list[Net]:
    """Load the weights that :func:`numbered` returned into untrained networks, in order, and move them to a device."""
    import torch

    from stsr.nn.training.device import pick_device

    nets = []
    for state, net in enumerate(untrained):
        prefix = f"net{state}/"
        weights = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
        net.load_state_dict({name: torch.as_tensor(a) for name, a in weights.items()})
        nets.append(net.eval().to(pick_device(device)))
    return nets
