"""Training stops when it should and leaves the best weights, the caller's random state and log levels alone."""

from __future__ import annotations

import logging

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from stsr.nn.trainer import fork_seed, train
from stsr.nn.training import Training


class Scripted(lightning.LightningModule):
    """Adds one to its weight a step; its held-out losses, and training losses if given, are read from a list."""

    def __init__(self, held_out, losses=()):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.script, self.losses = list(held_out), list(losses)

    def training_step(self, batch, index):  # noqa: D102
        value = self.losses[self.current_epoch] if self.losses else 0.0
        loss = -self.weight + self.weight.detach() + value
        self.log("train", loss, on_epoch=True, on_step=False, batch_size=1)
        return loss

    def validation_step(self, batch, index):  # noqa: D102
        self.log("held_out", self.script[self.current_epoch], on_epoch=True, batch_size=1)

    def configure_optimizers(self):  # noqa: D102
        return torch.optim.SGD(self.parameters(), lr=1.0)


def run(module, *, epochs=10, patience=3):
    one = DataLoader([torch.zeros(1)])
    return train(module, one, one, epochs=epochs, patience=patience, training=Training("cpu", progress=False))


def test_it_stops_after_patience_and_keeps_the_best_weights():
    module = Scripted([5, 3, 4, 6, 7, 8, 9, 9, 9, 9])
    history = run(module)
    assert history["held_out"] == [5, 3, 4, 6, 7]
    assert len(history["train"]) == 5
    assert module.weight.item() == pytest.approx(2)  # two steps had been taken when 3 was reached
    assert not module.training


def test_divergence_ends_training_with_the_last_good_state(caplog):
    module = Scripted([5, 4, float("nan"), 1], losses=[1, 1, float("nan"), 1])
    with caplog.at_level(logging.WARNING, logger="stsr"):
        run(module)
    assert module.weight.item() == pytest.approx(2)
    assert "learning rate that is too high" in caplog.text


def test_divergence_from_the_start_is_an_error():
    with pytest.raises(RuntimeError, match="diverged in its first epoch: lower"):
        run(Scripted([float("nan")] * 3, losses=[float("nan")] * 3))


def test_the_callers_random_state_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with fork_seed(0):
        inside = torch.rand(3)
    np.testing.assert_array_equal(torch.rand(3), expected)
    with fork_seed(0):
        np.testing.assert_array_equal(torch.rand(3), inside)


def test_log_levels_are_put_back():
    greeter = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = greeter.level
    run(Scripted([1, 2]), epochs=2)
    assert greeter.level == level
