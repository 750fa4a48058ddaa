"""CMT-Ti as published, and the network with graphs on it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from stsr.nn.networks.tcgn_lite import CmtTi, TcgnLite


def size(net):
    return sum(p.numel() for p in net.parameters())


def test_the_trunk_has_the_published_number_of_parameters():
    """9.49 M at 160 pixels with the classifier: 1280 channels, which are normalised, and 1000 classes."""
    with torch.device("meta"):
        trunk = size(CmtTi(160))
    assert trunk == 7_736_546
    assert (trunk + 368 * 1280 + 1280 + 2 * 1280 + 1280 * 1000 + 1000) / 1e6 == pytest.approx(9.49, abs=0.005)


def test_head_and_all_are_counted():
    with torch.device("meta"):
        net = TcgnLite(785)
    head = 368 * 1280 + 3 * 1280 + 1280 * 5120 + 5120 + 5120 * 785 + 785
    assert size(net) == size(net.trunk) + head + size(net.graphs) == 19_548_275


def test_every_parameter_learns():
    torch.manual_seed(0)
    net = TcgnLite(3, pixels=64)
    net(torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)).square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in net.parameters())


def test_graphs_change_the_prediction():
    torch.manual_seed(0)
    net = TcgnLite(3, pixels=32).eval()
    patches = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
    before = net(patches)
    net.graphs = torch.nn.Identity()
    assert not torch.allclose(net(patches), before)


def test_weights_of_the_trunk_are_read_and_others_refused(tmp_path):
    torch.manual_seed(0)
    trunk = CmtTi(32)
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    net = TcgnLite(3, pixels=32, weights=tmp_path / "trunk.safetensors")
    for name, value in net.trunk.state_dict().items():
        assert torch.equal(value, trunk.state_dict()[name])
    with pytest.raises(ValueError, match="are not of CMT-Ti: 4 tensors are missing.* such as 'stages.0.bias'"):
        TcgnLite(3, pixels=64, weights=tmp_path / "trunk.safetensors")
