"""Capsules against the equations of Efficient-CapsNet, written out in loops."""

from __future__ import annotations

import math

import pytest
import torch

from stsr.nn.layers.capsules import PrimaryCapsules, RoutedCapsules, squash


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_squashing_keeps_the_direction_and_bounds_the_length():
    capsules = 3 * torch.randn(20, 5)
    squashed, length = squash(capsules), capsules.norm(dim=1)
    torch.testing.assert_close(squashed.norm(dim=1), 1 - torch.exp(-length))
    torch.testing.assert_close(squashed / squashed.norm(dim=1, keepdim=True), capsules / length[:, None])


def test_a_capsule_of_length_zero_has_a_gradient_of_zero():
    capsule = torch.zeros(4, requires_grad=True)
    squash(capsule).square().sum().backward()
    assert torch.equal(capsule.grad, torch.zeros(4))


def test_primary_capsules_are_groups_of_channels_summed_over_the_map():
    layer, x = PrimaryCapsules(6, 3, 2), torch.randn(4, 6, 3, 3)
    sums = (x * layer.depthwise.weight[:, 0]).sum(dim=(2, 3)) + layer.depthwise.bias
    torch.testing.assert_close(layer(x), squash(sums.reshape(4, 3, 2)))


def test_routing_is_that_of_the_paper():
    layer, capsules = RoutedCapsules(3, 2, 4, 5), torch.randn(1, 3, 2)
    torch.nn.init.normal_(layer.prior)
    votes = [[capsules[0, i] @ layer.weight[j, i] for j in range(4)] for i in range(3)]
    agreement = [
        [sum((votes[i][j] @ votes[k][j]).item() for k in range(3)) / math.sqrt(5) for j in range(4)] for i in range(3)
    ]
    for j in range(4):
        mixed = torch.zeros(5)
        for i in range(3):
            share = math.exp(agreement[i][j]) / sum(math.exp(a) for a in agreement[i])
            mixed = mixed + (share + layer.prior[j, i]) * votes[i][j]
        torch.testing.assert_close(layer(capsules)[0, j], squash(mixed), rtol=1e-4, atol=1e-5)
