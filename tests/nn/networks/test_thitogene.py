"""THItoGene: its published size, what a spot's prediction depends on, and that it learns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from toys.sections import assert_every_parameter_learns, losses, parameters, spots

from stsr.nn.networks.thitogene import ThitoGeneNet

SMALL = {
    "size": 48,
    "capsules": 3,
    "capsule": 4,
    "depth": 1,
    "heads": 2,
    "head": 4,
    "hidden": 16,
    "graph_heads": 2,
    "graph_width": 8,
    "latent": 8,
}


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert parameters(ThitoGeneNet(785)) == 63_586_712


def test_patches_of_the_published_size_give_capsules_of_the_published_size():
    net = ThitoGeneNet(5, **SMALL | {"size": 112, "capsules": 20, "capsule": 64}).eval()
    maps = net.convolutions(net.dynamic(torch.zeros(2, 3, 112, 112)))
    assert maps.shape == (2, 128, 9, 9)
    assert net.primary(maps).shape == (2, 16, 8)
    assert net.tokens(torch.zeros(2, 3, 112, 112), torch.zeros(2, 2)).shape == (2, 1408)


@pytest.mark.parametrize("n", [1, 7, 300])
def test_a_section_may_have_any_number_of_spots(n):
    net = ThitoGeneNet(5, **SMALL).eval()
    assert net(torch.zeros(n, 3, 48, 48), torch.rand(n, 2)).shape == (n, 5)


@pytest.mark.parametrize("faithful", [False, True])
def test_the_order_of_spots_is_that_of_predictions(faithful):
    net, (pixels, place, _), order = ThitoGeneNet(5, **SMALL, faithful=faithful).eval(), spots(48), torch.randperm(12)
    torch.testing.assert_close(net(pixels[order], place[order]), net(pixels, place)[order], rtol=1e-4, atol=1e-6)


def test_faithful_graph_layers_leave_a_spots_own_patch_out():
    """Seen without the transformer, through which all spots see one another, and without edges between spots."""
    pixels, place, _ = spots(48)
    changed = pixels.clone()
    changed[5] = 255 - changed[5]
    alone = torch.zeros(2, 0, dtype=torch.int64)
    for faithful in (False, True):
        net = ThitoGeneNet(5, **SMALL | {"depth": 0}, faithful=faithful).eval()
        predicted = net(pixels, place, alone)
        assert predicted.isfinite().all()
        moved = net(changed, place, alone) - predicted
        assert bool(moved[5].abs().max() > 1e-7) is not faithful
        assert not moved[:5].any()


def test_positions_are_two_more_capsules():
    net, (pixels, place, _) = ThitoGeneNet(5, **SMALL).eval(), spots(48)
    tokens = net.tokens(pixels, place).unflatten(1, (5, 4))
    torch.testing.assert_close(tokens[:, 3], net.places.x(place[:, 0].long()))
    torch.testing.assert_close(tokens[:, 4], net.places.y(place[:, 1].long()))


@pytest.mark.parametrize("faithful", [False, True])
def test_it_learns(faithful):
    pixels, place, target = spots(48)
    net = ThitoGeneNet(4, **SMALL, dropout=0, faithful=faithful)

    def loss():
        return F.mse_loss(net(pixels, place), target)

    seen = losses(net, loss, steps=40)
    assert seen[-1] < 0.5 * seen[0]
    assert_every_parameter_learns(net, loss())
