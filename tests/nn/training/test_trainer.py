"""Training stops when it should and leaves the best weights, the caller's random state and log levels alone."""

from __future__ import annotations

import logging
import os
import signal

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from stsr.nn.training.settings import Training
from stsr.nn.training.trainer import Task, fork_seed, train


class Scripted(lightning.LightningModule):
    """Adds one to its weight a step; its held-out losses by epoch, and its training losses by step, come from lists."""

    def __init__(self, held_out, losses=()):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.script, self.losses = list(held_out), list(losses)

    def training_step(self, batch, index):  # noqa: D102
        value = self.losses[self.global_step] if self.losses else 0.0
        loss = -self.weight + self.weight.detach() + value
        self.log("train", loss, on_epoch=True, on_step=False, batch_size=1)
        return loss

    def validation_step(self, batch, index):  # noqa: D102
        self.log("held_out", float(self.script[self.current_epoch]), on_epoch=True, batch_size=1)

    def configure_optimizers(self):  # noqa: D102
        return torch.optim.SGD(self.parameters(), lr=1.0)


def run(module, *, epochs=10, patience=3, batches=1):
    return run_all([module], epochs=epochs, patience=patience, batches=batches)[0]


def run_all(modules, *, epochs=10, patience=3, batches=1, progress=False):
    one, more = DataLoader([torch.zeros(1)]), DataLoader([torch.zeros(1)] * batches)
    tasks = [Task(module, more, one, epochs, patience) for module in modules]
    return train(tasks, training=Training("cpu", progress=progress))


def test_it_stops_after_patience_and_keeps_the_best_weights():
    module = Scripted([5, 3, 4, 6, 7, 8, 9, 9, 9, 9])
    history = run(module)
    assert history["held_out"] == [5, 3, 4, 6, 7]
    assert len(history["train"]) == 5
    assert module.weight.item() == pytest.approx(2)  # two steps had been taken when 3 was reached
    assert not module.training


def test_without_patience_it_goes_on_to_the_end_and_keeps_the_last_weights():
    module = Scripted([5, 3, 4, 6, 7, 8, 9, 9, 9, 9])
    assert len(run(module, patience=None)["held_out"]) == 10
    assert module.weight.item() == pytest.approx(10)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_divergence_ends_training_with_the_last_good_state(caplog, bad):
    module = Scripted([5, 4, 3, 1], losses=[1, 1, 1, 1, bad, 1, 1, 1])
    with caplog.at_level(logging.WARNING, logger="stsr"):
        history = run(module, batches=2)
    assert len(history["train"]) == 3
    assert module.weight.item() == pytest.approx(
        4
    )  # two epochs of two steps, although the third's held-out loss is low
    assert f"The training loss became {bad} in epoch 3" in caplog.text
    assert "learning rate that is too high (here 1)" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_held_out_loss_that_is_not_finite_ends_training_too(caplog, bad):
    module = Scripted([5, 4, bad, 1])
    with caplog.at_level(logging.WARNING, logger="stsr"):
        history = run(module)
    assert history["held_out"][:2] == [5, 4]
    assert len(history["held_out"]) == 3
    assert module.weight.item() == pytest.approx(2)
    assert f"The held-out loss became {bad} in epoch 3" in caplog.text
    assert len(caplog.records) == 1


def test_weights_that_are_not_finite_are_never_the_best():
    class Broken(Scripted):
        def on_validation_end(self):
            if self.current_epoch == 1:
                self.weight.data.fill_(float("nan"))

    module = Broken([3, 2, 1, 1])
    run(module, epochs=2)
    assert module.weight.item() == pytest.approx(1)


def test_a_loss_that_is_not_finite_from_the_first_step_is_laid_to_the_input(caplog):
    with caplog.at_level(logging.WARNING, logger="stsr"), pytest.raises(RuntimeError, match="features and counts"):
        run(Scripted([1] * 3, losses=[float("nan")] * 3))
    assert "features or counts that are not finite are the usual cause" in caplog.text


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


def test_networks_learn_side_by_side_and_answer_in_order():
    first, second = Scripted([5, 3, 4, 6, 7, 8]), Scripted([1, 2, 3, 4, 5, 6])
    histories = run_all([first, second])
    assert [history["held_out"] for history in histories] == [[5, 3, 4, 6, 7], [1, 2, 3, 4]]
    assert [module.weight.item() for module in (first, second)] == pytest.approx([2, 1])


def test_side_by_side_each_has_its_share_of_the_cores_and_the_caller_gets_all_back():
    class Counting(Scripted):
        def on_train_start(self):
            self.cores = torch.get_num_threads()

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        modules = [Counting([1]), Counting([1])]
        run_all(modules, epochs=1)
        assert [module.cores for module in modules] == [2, 2]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def fail():
    raise ValueError("enough")


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def _heard_interruptions():
    """A process started in the background may have been told to ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heard_interruptions")
@pytest.mark.parametrize(("happens", "error"), [(fail, ValueError), (interrupt, KeyboardInterrupt)])
def test_a_failure_or_an_interruption_stops_all_after_their_step(monkeypatch, happens, error):
    class Troubled(Scripted):
        def on_train_batch_start(self, batch, index):
            if self.global_step == 2:
                happens()

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    modules = [Troubled([1] * 5_000), Scripted([1] * 5_000)]
    with pytest.raises(error):
        run_all(modules, epochs=5_000, patience=5_000)
    assert max(module.weight.item() for module in modules) < 2_500


def test_one_bar_counts_the_epochs_of_all_and_is_full_at_the_end(capsys):
    run_all([Scripted([1, 2, 3, 4, 5, 6]), Scripted([1, 2, 3, 4, 5, 6])], epochs=6, progress=True)
    assert "12/12" in capsys.readouterr().err
