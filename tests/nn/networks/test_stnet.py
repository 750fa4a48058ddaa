"""The network of ST-Net: its size, and where it starts."""

from __future__ import annotations

import torch

from stsr.nn.networks.stnet import StNet


def test_it_has_as_many_parameters_as_densenet121_and_a_linear_layer():
    with torch.device("meta"):
        net = StNet(785)
    assert sum(p.numel() for p in net.parameters()) == 7_758_481


def test_it_starts_at_the_mean_and_every_parameter_of_the_last_layer_learns():
    net = StNet(3, backbone="test_resnet", weights="random")
    mean = torch.tensor([1.0, 2.0, -3.0])
    net.start_at(mean)
    patches = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
    predicted = net(patches)
    torch.testing.assert_close(predicted, mean.expand(4, 3))
    predicted.square().sum().backward()
    assert (net.out.weight.grad != 0).any()
    assert (net.out.bias.grad != 0).all()
