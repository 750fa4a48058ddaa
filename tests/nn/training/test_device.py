"""Devices go by their names."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from stsr.nn.training.device import check_device, pick_device


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    for name in ("cuda", "cuda:0", "mps"):
        with pytest.raises(ValueError, match=f"device='{name}' is not available; choose 'auto' or one of cpu"):
            check_device(name)


def test_one_of_several_gpus_is_named_by_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto") == torch.device("cuda")
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ValueError, match="device='cuda:2' is not available; choose 'auto' or one of cuda:0 to cuda:1"):
        check_device("cuda:2")


@pytest.mark.parametrize(
    "name",
    ["gpu", "tpu", "", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cpu:1", " cpu", "cuda:٣", 0, None, torch.float32],
)
def test_what_is_no_device_is_refused(name):
    with pytest.raises(ValueError, match=r"device=.* is not allowed; pass 'auto', 'cpu', 'cuda', 'mps', or one GPU"):
        check_device(name)


def test_looking_at_a_name_loads_no_torch():
    code = "import sys\nfrom stsr.nn.training.device import check_device\ncheck_device('auto')\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
