"""One way to train: Lightning's Trainer with early stopping, the best weights kept in memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from tqdm.auto import tqdm

from stsr.nn.device import pick_device
from stsr.nn.training import Training

logger = logging.getLogger(__name__)

History = dict[str, list[float]]


class BestWeights(lightning.Callback):
    """Keep a copy of the weights at the lowest held-out loss, and the losses of every epoch."""

    def __init__(self) -> None:
        self.history: History = {"train": [], "held_out": []}
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Record the epoch; Lightning has run validation by now."""
        metrics = trainer.callback_metrics
        for name in self.history:
            self.history[name].append(float(metrics[name]))
        latest = self.history["held_out"][-1]
        if latest <= min(self.history["held_out"]):
            self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}


class EpochBar(lightning.Callback):
    """One line for the whole training: epochs done and the losses of the last."""

    def __init__(self, epochs: int, *, shown: bool) -> None:
        super().__init__()
        self.bar = tqdm(total=epochs, desc="train", unit="epoch", disable=not shown)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Move on by one."""
        self.bar.set_postfix({name: f"{float(value):.4f}" for name, value in trainer.callback_metrics.items()})
        self.bar.update()

    def teardown(self, trainer: lightning.Trainer, module: lightning.LightningModule, stage: str) -> None:
        """Leave the finished bar on the screen, also when training broke off."""
        self.bar.close()


class StopOnDivergence(lightning.Callback):
    """End training at the first loss that is not a number; the best weights so far are kept."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss of the batch."""
        if not torch.isfinite(outputs["loss"]):
            logger.warning(
                "The training loss became %s in epoch %d: a learning rate that is too high is the usual cause; "
                "the best weights so far are kept.",
                float(outputs["loss"]),
                trainer.current_epoch,
            )
            trainer.should_stop = True


def train(
    module: lightning.LightningModule,
    batches: Iterable[Any],
    held_out: Iterable[Any],
    *,
    epochs: int,
    patience: int,
    training: Training,
) -> History:
    """Train ``module`` until the held-out loss has not fallen for ``patience`` epochs; leave it at its best weights.

    Parameters
    ----------
    module
        Logs ``"train"`` and ``"held_out"`` losses once an epoch.
    batches, held_out
        Loaders of training and of held-out batches.
    epochs, patience
        At most this many epochs; stop after this many without improvement.
    training
        Device and progress bar.

    Returns
    -------
    ``{"train": [...], "held_out": [...]}``, a loss an epoch.
    """
    best, device = BestWeights(), pick_device(training.device)
    with quiet():
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator=device.type,
            devices=[device.index or 0] if device.type == "cuda" else 1,
            precision="bf16-mixed" if device.type == "cuda" else "32-true",
            gradient_clip_val=1.0,
            callbacks=[
                best,
                StopOnDivergence(),
                EarlyStopping("held_out", patience=patience, check_finite=True),
                EpochBar(epochs, shown=training.progress),
            ],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            logger=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(module, batches, held_out)
    if not best.weights:
        raise RuntimeError(
            "Training diverged in its first epoch: lower the method's learning rate or check the counts."
        )
    module.load_state_dict(best.weights)
    module.eval()
    return best.history


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning greets, advises on loaders and names its products; none of it is about the user's section."""
    greeter = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = greeter.level
    greeter.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        greeter.setLevel(level)


@contextmanager
def fork_seed(seed: int) -> Iterator[None]:
    """Seed torch inside the block only: the caller's random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
