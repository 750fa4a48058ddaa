"""EGNv2: its published size, what a spot's prediction depends on, and that it learns."""

from __future__ import annotations

import pytest
import torch
from toys.sections import assert_every_parameter_learns, losses, parameters

from stsr.nn.networks.egnv2 import EgnV2Net
from stsr.nn.training.exemplar_loss import ExemplarLoss
from stsr.nn.training.recipe import Recipe

SMALL = {"features": 6, "width": 8, "depth": 2}


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def section(genes: int = 4, n: int = 12):
    """Features, places and exemplars of spots, the bank of exemplars, and what the spots express."""
    bank, weight = torch.rand(30, 6), torch.rand(6, genes)
    features = torch.rand(n, 6)
    place = torch.cartesian_prod(torch.arange(4.0), torch.arange(-(-n // 4)).float())[:n]
    index = torch.cdist(features, bank).topk(3, largest=False).indices
    return (features, place, index, bank, bank @ weight), features @ weight


def test_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert parameters(EgnV2Net(785, faithful=True)) == 12_099_346
        assert parameters(EgnV2Net(785)) == 12_099_346 + 4 * (785 - 512) * 512


@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize("faithful", [False, True])
def test_a_section_may_have_any_number_of_spots(n, faithful):
    inputs, _ = section(n=n)
    assert EgnV2Net(4, **SMALL, faithful=faithful)(*inputs).shape == (n, 4)


def test_the_order_of_spots_and_of_exemplars_does_not_matter():
    net, order, places = EgnV2Net(4, **SMALL), torch.randperm(12), torch.randperm(30)
    (features, place, index, bank, expression), _ = section()
    predicted = net(features, place, index, bank, expression)
    torch.testing.assert_close(net(features[order], place[order], index[order], bank, expression), predicted[order])
    moved = net(features, place, places.argsort()[index].flip(1), bank[places], expression[places])
    torch.testing.assert_close(moved, predicted)


def test_a_spot_depends_on_neighbours_within_two_steps_and_on_its_exemplars():
    net = EgnV2Net(4, **SMALL)
    (features, place, index, bank, expression), _ = section()
    place = torch.stack([torch.arange(12.0), torch.zeros(12)], dim=1)
    before, changed = net(features, place, index, bank, expression), features.clone()
    changed[0] += 3
    moved = (net(changed, place, index, bank, expression) - before).abs().amax(dim=1)
    assert (moved[:3] > 1e-7).all()
    assert not moved[3:].any()
    unused = [spot for spot in range(30) if spot not in index]
    bank = bank.clone()
    bank[unused] += 3
    torch.testing.assert_close(net(features, place, index, bank, expression), before)


@pytest.mark.parametrize("genes", [4, 20])
def test_faithful_bridges_do_not_get_the_expression_of_exemplars(genes):
    """Without it in the embedding of exemplars, nothing depends on it any more; in the default, bridges tell."""
    (features, place, index, bank, expression), _ = section(genes)
    for faithful in (False, True):
        net = EgnV2Net(genes, **SMALL, faithful=faithful)
        with torch.no_grad():
            net.embed_exemplar.weight[:, 6:] = 0
        predicted = net(features, place, index, bank, expression)
        other = net(features, place, index, bank, 2 * expression)
        assert torch.equal(predicted, other) is faithful


@pytest.mark.parametrize("faithful", [False, True])
def test_it_learns(faithful):
    (*inputs, bank, expression), target = section()
    net = EgnV2Net(4, **SMALL, faithful=faithful)
    module = ExemplarLoss(net, bank, expression, recipe=Recipe(batch=None))

    def loss():
        return module.loss([*inputs, target])

    seen = losses(module, loss, steps=60)
    assert seen[-1] < 0.3 * seen[0]
    assert_every_parameter_learns(net, loss(), but=("score.2.bias",))
