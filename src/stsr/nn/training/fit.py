"""Training a network on any dataset of spots, as its recipe says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch.utils.data import Sampler

from stsr.nn.training.batches import SectionBatches, SpotBatches, Turned, loader
from stsr.nn.training.recipe import Recipe
from stsr.nn.training.regression import Regression
from stsr.nn.training.settings import Training
from stsr.nn.training.trainer import History, Task, fork_seed, train

Sections = tuple[ArrayLike, ArrayLike]
"""The section of each item of the training data, and of each item of the validation data."""


def fit(
    module: Regression, data: Any, held_out: Any, *, seed: int, training: Training, sections: Sections | None = None
) -> History:
    """Train a network; its weights are then those that its recipe keeps.

    The result depends on the seed, and not on the number of workers that read the data. Torch's global generator is seeded
    during training, for dropout, and is left as it was.

    Parameters
    ----------
    module
        The network, with its loss and its recipe.
    data, held_out
        Map-style datasets of tuples whose last item is the (genes,) target: to train on, and to validate on. A recipe with
        ``symmetries`` needs a :class:`~stsr.methods.shared.image_patches.PatchDataset`, or another whose ``turns`` is True and
        whose items can be asked for as (number, symmetry).
    seed
        Of batches, symmetries and dropout.
    training
        Device, workers, progress bar.
    sections
        Needed where a batch is a section.

    Returns
    -------
    ``{"train": [...], "held_out": [...]}``, mean losses by epoch.

    Raises
    ------
    ValueError
        When a dataset is empty or cannot be turned, or sections are missing or do not fit it.
    RuntimeError
        When the loss is not finite in the first epoch.

    Examples
    --------
    >>> import torch
    >>> from stsr.nn.training.regression import Supervised
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> data = torch.utils.data.TensorDataset(x, 2 * x)
    >>> module = Supervised(torch.nn.Linear(1, 1), recipe=Recipe(learning_rate=0.1, epochs=20, batch=16))
    >>> history = fit(module, data, data, seed=0, training=Training("cpu", progress=False))
    >>> round(module.net.weight.item(), 1), len(history["held_out"])
    (2.0, 20)
    """
    with fork_seed(seed):
        (history,) = train(
            [task(module, data, held_out, seed=seed, sections=sections, workers=training.workers)], training=training
        )
    return history


def task(
    module: Regression, data: Any, held_out: Any, *, seed: int, sections: Sections | None = None, workers: int = 0
) -> Task:
    """What :func:`fit` trains, for training several networks in parallel with :func:`stsr.nn.training.trainer.train`.

    Networks with dropout use torch's global generator, so they are trained one by one, with :func:`fit`.
    """
    recipe = module.recipe
    learned, checked = (None, None) if sections is None else sections
    batches: Sampler[Any] = _batches("data", data, learned, recipe, shuffle=recipe.shuffle, seed=seed)
    if recipe.symmetries:
        if not getattr(data, "turns", False):
            raise ValueError(
                f"symmetries=True has no use with a {type(data).__name__}, whose items cannot be turned; pass a "
                "PatchDataset, or leave it out."
            )
        batches = Turned(
            batches, alike=recipe.batch is None, seed=int(np.random.default_rng((seed, 1)).integers(2**31))
        )
    check = _batches("held_out", held_out, checked, recipe, shuffle=False, seed=seed)
    return Task(
        module,
        loader(data, batches, workers=workers),
        loader(held_out, check, workers=workers),
        recipe.epochs,
        None if recipe.keep == "last" else recipe.patience or recipe.epochs,
        recipe.clip_norm,
    )


def _batches(
    name: str, data: Any, sections: ArrayLike | None, recipe: Recipe, *, shuffle: bool, seed: int
) -> Sampler[list[int]]:
    """The batches of a dataset: spots or, with ``batch=None``, sections."""
    if len(data) == 0:
        raise ValueError(f"{name} has no spots; pass a dataset of 1 or more.")
    if recipe.batch is not None:
        return SpotBatches(len(data), recipe.batch, shuffle=shuffle, seed=seed)
    if sections is None:
        raise ValueError(
            "sections=None is not allowed with batch=None; pass the section of each spot, or a batch size."
        )
    if np.shape(sections) != (len(data),):
        raise ValueError(
            f"sections of shape {np.shape(sections)} do not fit {name} of {len(data)} spots; pass one for each spot."
        )
    return SectionBatches(sections, shuffle=shuffle, seed=seed)
