"""A subclass that says what its loss is can be trained."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from stsr.nn.training.regression import Regression
from stsr.nn.training.settings import Training
from stsr.nn.training.trainer import Task, fork_seed, train


class Linear(Regression):
    """Least squares."""

    def loss(self, batch):  # noqa: D102
        x, target = batch
        return F.mse_loss(self.net(x), target)


def test_it_is_trained_by_adam_and_tells_both_losses():
    with fork_seed(0):
        x, slope = torch.randn(64, 3), torch.tensor([[1.0], [-2.0], [0.5]])
        data = DataLoader(TensorDataset(x, x @ slope), batch_size=16)
        module = Linear(nn.Linear(3, 1), learning_rate=0.05)
        (history,) = train([Task(module, data, data, 60, 60)], training=Training("cpu", progress=False))
    assert isinstance(module.configure_optimizers(), torch.optim.Adam)
    assert module.configure_optimizers().param_groups[0]["lr"] == 0.05
    assert set(history) == {"train", "held_out"}
    assert min(history["held_out"]) < 1e-3
    torch.testing.assert_close(module.net.weight.detach(), slope.T, atol=0.02, rtol=0)
