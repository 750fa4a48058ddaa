"""Training with Lightning: early stopping, best weights kept in memory, networks in parallel on a processor."""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from tqdm.auto import tqdm

from stsr.nn.training.device import pick_device
from stsr.nn.training.parallel import side_by_side
from stsr.nn.training.recipe import CLIP_NORM
from stsr.nn.training.settings import Training

logger = logging.getLogger(__name__)

History = dict[str, list[float]]


@dataclass(frozen=True)
class Task:
    """A network to train.

    Parameters
    ----------
    module
        A LightningModule. Logs ``"train"`` and ``"held_out"`` losses once an epoch.
    batches, held_out
        Loaders of training and of held-out batches, with random generators of their own.
    epochs
        At most this many.
    patience
        Epochs without a lower held-out loss after which training ends; the weights with the lowest one are kept. None
        trains for all epochs and keeps the last weights.
    clip_norm
        Largest norm of the gradient; None does not clip it.
    """

    module: Any
    batches: Iterable[Any]
    held_out: Iterable[Any]
    epochs: int
    patience: int | None
    clip_norm: float | None = CLIP_NORM


class KeptWeights(lightning.Callback):
    """Keep a copy of the weights at the lowest held-out loss, or of the last epoch, and the losses of every epoch.

    Weights of an epoch with a loss or weight that is not finite are never kept. The weights are checked too, because the
    recorded held-out loss is that of the previous epoch when training stops within an epoch.

    Parameters
    ----------
    best
        Keep the weights with the lowest held-out loss, not those of the last epoch.
    """

    def __init__(self, *, best: bool) -> None:
        self.best = best
        self.history: History = {"train": [], "held_out": []}
        self.weights: dict[str, torch.Tensor] = {}
        self.lowest = math.inf

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Record the epoch; Lightning has run validation by now."""
        latest = {name: float(trainer.callback_metrics[name]) for name in self.history}
        for name, loss in latest.items():
            self.history[name].append(loss)
        weights = module.state_dict()
        finite = all(map(math.isfinite, latest.values())) and all(w.isfinite().all() for w in weights.values())
        if finite and (latest["held_out"] <= self.lowest or not self.best):
            self.lowest = latest["held_out"]
            self.weights = {name: value.detach().clone() for name, value in weights.items()}


class EpochBar(lightning.Callback):
    """Advances the progress bar that all networks share; it shows the latest losses."""

    def __init__(self, bar: tqdm, epochs: int) -> None:
        super().__init__()
        self.bar, self.left = bar, epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Advance by one epoch."""
        self.bar.set_postfix({name: f"{float(value):.4f}" for name, value in trainer.callback_metrics.items()})
        self.move(1)

    def on_fit_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Advance by the epochs that early stopping skipped."""
        self.move(self.left)

    def move(self, epochs: int) -> None:
        """Advance by ``epochs``; one network at a time holds the lock."""
        self.left -= epochs
        with self.bar.get_lock():
            self.bar.update(epochs)


class StopOnDivergence(lightning.Callback):
    """End training at the first loss that is not finite, with a warning; the last good weights stay."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the loss of the batch."""
        self.check(trainer, "training", outputs["loss"])

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Check the held-out loss."""
        self.check(trainer, "held-out", trainer.callback_metrics["held_out"])

    def check(self, trainer: lightning.Trainer, name: str, loss: torch.Tensor) -> None:
        """Stop and log the likely cause, once."""
        if torch.isfinite(loss) or trainer.should_stop:
            return
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        logger.warning(
            "The %s loss became %s in epoch %d: %s the usual cause; the last good weights are kept.",
            name,
            float(loss),
            trainer.current_epoch + 1,
            "features or counts that are not finite are"
            if trainer.global_step <= 1
            else f"a learning rate that is too high (here {rate:.2g}) is",
        )
        trainer.should_stop = True


class StopOnEvent(lightning.Callback):
    """End training after the current step once ``event`` is set: on an interruption, or when another network failed."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self.event = event

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if the event is set."""
        trainer.should_stop |= self.event.is_set()


def train(tasks: Sequence[Task], *, training: Training) -> list[History]:
    """Train networks.

    On a processor they are trained in parallel. That does not change the result: networks use no global random numbers
    in training.

    Returns
    -------
    ``{"train": [...], "held_out": [...]}`` of each network, one loss per epoch.
    """
    device, stop = pick_device(training.device), threading.Event()
    total = sum(task.epochs for task in tasks)
    with quiet(), tqdm(total=total, desc="train", unit="epoch", disable=not training.progress) as bar:

        def learn(task: Task) -> History:
            return train_one(task, [EpochBar(bar, task.epochs), StopOnEvent(stop)], device)

        return side_by_side(learn, tasks, device=device, at_end=stop.set)


def train_one(task: Task, callbacks: list[lightning.Callback], device: torch.device) -> History:
    """Train one network; ``callbacks`` are added to those that keep its weights and stop it."""
    kept = KeptWeights(best=task.patience is not None)
    if task.patience is not None:
        callbacks = [EarlyStopping("held_out", patience=task.patience), *callbacks]
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        accelerator=device.type,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision="bf16-mixed" if device.type == "cuda" else "32-true",
        gradient_clip_val=task.clip_norm,
        callbacks=[kept, StopOnDivergence(), *callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(task.module, task.batches, task.held_out)
    if not kept.weights:
        raise RuntimeError(
            "Training diverged in its first epoch: lower the method's learning rate or check the features and counts."
        )
    task.module.load_state_dict(kept.weights)
    task.module.eval()
    return kept.history


@contextmanager
def quiet() -> Iterator[None]:
    """Silence messages and warnings of Lightning that do not concern the user's section, such as advice on loaders."""
    rank_zero = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = rank_zero.level
    rank_zero.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        rank_zero.setLevel(level)


@contextmanager
def fork_seed(seed: int) -> Iterator[None]:
    """Seed torch inside the block only: the caller's random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
