"""Devices go by their names."""

from __future__ import annotations

import pytest
import torch

from stsr.nn.device import pick_device


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="device='cuda' is not there; choose 'auto' or one of cpu"):
        pick_device("cuda")
    with pytest.raises(ValueError, match="device='tpu' is not there"):
        pick_device("tpu")
