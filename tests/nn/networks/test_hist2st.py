"""Hist2ST: its published sizes, what a spot's prediction depends on, its losses by hand, and that it learns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from toys.sections import assert_every_parameter_learns, losses, parameters, spots

from stsr.nn.layers.graph import nearest_edges
from stsr.nn.layers.losses import zero_inflated_negative_binomial
from stsr.nn.networks.hist2st import Hist2stNet, Hist2stSections, augmented
from stsr.nn.training.recipe import Recipe

SMALL = {"size": 21, "channels": 16, "depth": 1, "heads": 2, "head": 4}
ONE_SECTION = Recipe(batch=None)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def section():
    pixels, place, target = spots(21)
    return pixels, place, torch.poisson(3 * target), target


@pytest.mark.parametrize(("size", "channels", "count"), [(224, 16, 229_154_567), (112, 32, 75_789_833)])
def test_it_has_the_published_number_of_parameters(size, channels, count):
    with torch.device("meta"):
        assert parameters(Hist2stNet(785, size=size, channels=channels)) == count


@pytest.mark.parametrize("n", [1, 7, 300])
def test_a_section_may_have_any_number_of_spots(n):
    net = Hist2stNet(5, **SMALL).eval()
    assert net(torch.zeros(n, 3, 21, 21), torch.rand(n, 2)).shape == (n, 5)


@pytest.mark.parametrize("faithful", [False, True])
def test_the_order_of_spots_is_that_of_predictions(section, faithful):
    net, (pixels, place, *_), order = Hist2stNet(5, **SMALL, faithful=faithful).eval(), section, torch.randperm(12)
    torch.testing.assert_close(net(pixels[order], place[order]), net(pixels, place)[order])


@pytest.mark.parametrize("faithful", [False, True])
def test_a_spot_without_neighbours_is_predicted(section, faithful):
    pixels, place, *_ = section
    place = torch.cat([place[:-1], torch.tensor([[40.0, 40.0]])])
    assert Hist2stNet(5, **SMALL, faithful=faithful).eval()(pixels, place).isfinite().all()


def test_faithful_graph_layers_leave_a_spots_own_patch_out(section):
    """Seen without the transformer, through which all spots see one another."""
    pixels, place, *_ = section
    changed = pixels.clone()
    changed[5] = 255 - changed[5]
    alone = torch.zeros(2, 0, dtype=torch.int64)
    for faithful in (False, True):
        net = Hist2stNet(5, **SMALL | {"depth": 0}, faithful=faithful).eval()
        moved = net(changed, place, alone) - net(pixels, place, alone)
        assert bool(moved[5].abs().max() > 1e-7) is not faithful


def test_four_graph_layers_reach_four_steps():
    net = Hist2stNet(5, **SMALL | {"depth": 0}).eval()
    pixels, place = torch.randint(256, (9, 3, 21, 21)), torch.stack([torch.arange(9.0), torch.zeros(9)], dim=1)
    edges = nearest_edges(place, 2, within=1)
    changed = pixels.clone()
    changed[0] = 255 - changed[0]
    moved = (net(changed, place, edges) - net(pixels, place, edges)).abs().amax(dim=1)
    assert (moved[:5] > 0).all()
    assert not moved[5:].any()


def test_the_loss_is_the_sum_of_its_three_parts(section):
    pixels, place, counts, target = section
    net = Hist2stNet(4, **SMALL, dropout=0)
    module = Hist2stSections(net, recipe=ONE_SECTION, copies=2)
    torch.manual_seed(3)
    loss = module.loss(section)
    torch.manual_seed(3)
    edges = nearest_edges(place, 4, within=2)
    latent = net.latent(pixels, place, edges)
    copies = [net.latent(augmented(pixels), place, edges) for _ in range(2)]
    first, second = (net.trust(copy).exp() for copy in copies)
    teacher = (first * net.head(copies[0]) + second * net.head(copies[1])) / (first + second)
    library = counts.sum(dim=1, keepdim=True)
    mean, log_theta, logit = net.counts(latent)
    zinb = zero_inflated_negative_binomial(counts, library / library.median() * mean, log_theta, logit).mean()
    predicted = net.head(latent)
    torch.testing.assert_close(
        loss, F.mse_loss(predicted, target) + 0.25 * zinb + 0.5 * F.mse_loss(predicted, teacher), rtol=1e-4, atol=1e-6
    )


def test_held_out_sections_are_judged_by_the_squared_error(section):
    pixels, place, _, target = section
    module = Hist2stSections(Hist2stNet(4, **SMALL), recipe=ONE_SECTION).eval()
    torch.testing.assert_close(module.loss(section), F.mse_loss(module.net(pixels, place), target))


def test_patches_are_augmented_alike():
    pixels = torch.randint(256, (1, 3, 8, 8), dtype=torch.uint8).expand(3, 3, 8, 8)
    changed = [augmented(pixels) for _ in range(5)]
    assert all(torch.equal(one[0], one[1]) and torch.equal(one[0], one[2]) for one in changed)
    assert not all(torch.equal(one, pixels) for one in changed)


def test_without_copies_nothing_is_distilled(section):
    module = Hist2stSections(Hist2stNet(4, **SMALL), recipe=ONE_SECTION, copies=0)
    module.loss(section).backward()
    assert all(weight.grad is None for weight in module.net.trust.parameters())


@pytest.mark.parametrize("faithful", [False, True])
def test_it_learns(section, faithful):
    net = Hist2stNet(4, **SMALL, dropout=0, faithful=faithful)
    module = Hist2stSections(net, recipe=ONE_SECTION, copies=2)
    pixels, place, _, target = section
    before = F.mse_loss(net(pixels, place), target)
    seen = losses(module, lambda: module.loss(section), steps=40)
    assert seen[-1] < 0.7 * seen[0]
    assert F.mse_loss(net(pixels, place), target) < 0.5 * before
    assert_every_parameter_learns(net, module.loss(section), but=("trust.2.bias",))
