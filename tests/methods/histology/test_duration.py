"""Long work is told before it is done, short work is not."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import nn

from stsr.methods.histology import duration
from stsr.methods.histology.duration import Estimate, training_seconds
from stsr.methods.shared.image_patches import PatchDataset


class Clock:
    """Each reading is ``step`` seconds after the one before."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def perf_counter(self):  # noqa: D102
        self.now += self.step
        return self.now


def told(caplog, seconds, points, monkeypatch):
    monkeypatch.setattr(duration, "time", Clock(seconds))
    estimate = Estimate("Prediction", points)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            estimate.timed(lambda xy: xy, np.zeros((10, 2)))
    return caplog.messages


def test_a_long_prediction_is_told_once_from_its_first_points(caplog, monkeypatch):
    assert told(caplog, 2.0, 3000, monkeypatch) == ["Prediction takes about 10 min on this machine; a GPU is faster."]
    assert told(caplog, 2.0, 1400, monkeypatch) == []


class Net(nn.Module):
    """Batch normalisation, whose running statistics a forward pass in training would change."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, patches):  # noqa: D102
        return self.norm(patches.float())


def test_training_is_estimated_without_changing_the_network(monkeypatch):
    monkeypatch.setattr(duration, "time", Clock(4.0))
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    data = PatchDataset([np.full((4, 4, 3), 9, np.uint8)] * 20, np.zeros((20, 1), np.float32))
    # 8 patches in 4 s are half a second each; three passes over 20 and one over 5, ten times
    assert training_seconds(net, data, 5, 10, "cpu") == 10 * (3 * 20 + 5) * 0.5
    assert net.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
