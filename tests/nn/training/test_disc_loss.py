"""What networks that are trained on discs share."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stsr.nn.layers.heads import EluHead
from stsr.nn.layers.spot_sums import CELL_SUBSETS, cell_subset
from stsr.nn.networks.istar import IstarDiscs, IstarNet
from stsr.nn.training.recipe import Recipe


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_the_head_is_leaky_relus_and_an_elu_lifted_above_zero():
    head, x = EluHead(10, (20, 15), genes=4), 3 * torch.randn(50, 10)
    first, second = head.hidden[0], head.hidden[2]
    y = nn.functional.leaky_relu(first(x), 0.1)
    y = head.out(nn.functional.leaky_relu(second(y), 0.1))
    expected = torch.where(y > 0, y + 0.01, 0.01 * torch.exp(y))
    torch.testing.assert_close(head(x), expected, rtol=1e-4, atol=1e-6)
    assert head(1e3 * x).min() >= 0


def test_it_is_the_same_in_two_steps():
    head, x = EluHead(10, (20,), genes=4), torch.randn(7, 10)
    torch.testing.assert_close(head.rates(head.hidden(x)), head(x))


def test_the_loss_is_that_of_weighted_sums():
    net, tokens = IstarNet(6, genes=3), torch.randn(5, 4, 6)
    weight, target = torch.rand(5, 4), torch.rand(5, 3)
    sums = sum(net(tokens[:, i]) * weight[:, i, None] for i in range(4))
    loss = IstarDiscs(net, recipe=Recipe()).loss([tokens, weight, target])
    torch.testing.assert_close(loss, ((sums - target) ** 2).mean())
    assert loss.requires_grad


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_cells_of_a_disc_take_turns_and_stand_for_all(lengths, seed):
    lengths, p = torch.tensor(lengths)[:, None], max(lengths)
    inside = torch.arange(p) < lengths
    weight = torch.rand(inside.shape, generator=torch.Generator().manual_seed(seed)).add(0.1) * inside
    turns = [cell_subset(step, weight) for step in range(min(CELL_SUBSETS, p))]
    seen = torch.stack([torch.arange(p)[now].bincount(minlength=p) for now, _ in turns]).sum(dim=0)
    assert (seen == 1).all()
    for now, own in turns:
        torch.testing.assert_close(own.sum(dim=1), weight.sum(dim=1))
        absent = ~inside[:, now].any(dim=1)
        assert ((own > 0) == (inside[:, now] | absent[:, None])).all()
