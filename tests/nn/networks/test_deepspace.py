"""The network of DeepSpaCE: VGG-16 as published, with its dropout."""

from __future__ import annotations

import torch
from torch import nn

from stsr.nn.networks.deepspace import DeepSpace


def test_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        net = DeepSpace(785)
    assert sum(p.numel() for p in net.parameters()) == 137_476_689
    assert {module.p for module in net.modules() if isinstance(module, nn.Dropout)} == {0.5}


def test_its_last_layer_starts_around_the_mean():
    torch.manual_seed(0)
    net = DeepSpace(3, backbone="test_resnet", weights="random").eval()
    mean = torch.tensor([5.0, 9.0, -7.0])
    net.start_at(mean)
    patches = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
    assert (net(patches) - mean).abs().max() < 2
