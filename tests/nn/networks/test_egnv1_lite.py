"""EGNv1 with a lighter bridge: its size, what a patch's prediction depends on, and that it learns."""

from __future__ import annotations

import pytest
import torch
from toys.sections import assert_every_parameter_learns, losses, parameters, spots

from stsr.nn.networks.egnv1_lite import EgnV1Lite
from stsr.nn.training.exemplar_loss import ExemplarLoss
from stsr.nn.training.recipe import Recipe

SMALL = {
    "size": 8,
    "square": 4,
    "width": 16,
    "depth": 4,
    "heads": 2,
    "head": 4,
    "hidden": 32,
    "features": 3,
    "inner": 8,
}


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def section(genes: int = 4):
    """Patches, their mean colours, their exemplars, the bank of exemplars, and what the patches express."""
    pixels, _, _ = spots(8)
    colours, bank, weight = pixels.float().mean(dim=(2, 3)) / 255, torch.rand(30, 3), torch.rand(3, genes)
    index = torch.cdist(colours, bank).topk(3, largest=False).indices
    return (pixels, colours, index, bank, bank @ weight), colours @ weight


def linear(a, b):
    return a * b + b


def test_its_size_is_that_of_its_parts_and_is_stated():
    with torch.device("meta"):
        net = EgnV1Lite(785)
    block = 2 * 2 * 1024 + 3 * 1024 * 1024 + linear(1024, 1024) + linear(1024, 4096) + linear(4096, 1024)
    bridge = 2 * 1024 + 2 * linear(1024, 512) + 2 * linear(2048, 512) + linear(785, 512) + linear(512, 1024)
    assert parameters(net.blocks) == 8 * block
    assert parameters(net.bridges) == 4 * bridge
    assert net.position.shape == (49, 1024)
    head = 2 * 3072 + linear(3072, 785)
    total = linear(3 * 32**2, 1024) + 49 * 1024 + 8 * block + 4 * bridge + 1024 + head
    assert parameters(net) == total
    assert f"{total:,} parameters" in EgnV1Lite.__doc__


@pytest.mark.parametrize("n", [1, 7, 300])
def test_any_number_of_patches(n):
    net = EgnV1Lite(4, **SMALL)
    predicted = net(
        torch.zeros(n, 3, 8, 8), torch.rand(n, 3), torch.randint(9, (n, 2)), torch.rand(9, 3), torch.rand(9, 4)
    )
    assert predicted.shape == (n, 4)


def test_a_patch_is_predicted_by_itself_and_its_exemplars_in_any_order():
    net, order = EgnV1Lite(4, **SMALL), torch.randperm(12)
    (pixels, features, index, *bank), _ = section()
    predicted = net(pixels, features, index, *bank)
    torch.testing.assert_close(net(pixels[order], features[order], index[order].flip(1), *bank), predicted[order])
    torch.testing.assert_close(net(pixels[:1], features[:1], index[:1], *bank), predicted[:1])


@pytest.mark.parametrize("changed", range(5))
def test_a_prediction_depends_on_each_input(changed):
    net, (inputs, _) = EgnV1Lite(4, **SMALL), section()
    other = list(inputs)
    other[changed] = other[changed].flip(0)
    assert (net(*other) - net(*inputs)).abs().max() > 1e-5


def test_tokens_are_squares_of_pixels_at_their_places():
    net, (inputs, _) = EgnV1Lite(4, **SMALL), section()
    swapped = inputs[0].roll(4, dims=3)
    assert (net(swapped, *inputs[1:]) - net(*inputs)).abs().max() > 1e-5
    with torch.no_grad():
        net.position.zero_()
    torch.testing.assert_close(net(swapped, *inputs[1:]), net(*inputs))


def test_pooling_is_the_mean_and_half_of_the_attended_one():
    net, tokens = EgnV1Lite(4, **SMALL), torch.randn(2, 5, 16)
    weight = (tokens @ net.score.weight[0]).exp()
    attended = (weight[..., None] * tokens).sum(dim=1) / weight.sum(dim=1, keepdim=True)
    torch.testing.assert_close(net.pooled(tokens), tokens.mean(dim=1) + attended / 2)


def test_it_learns():
    (*inputs, bank, expression), target = section()
    net = EgnV1Lite(4, **SMALL)
    module = ExemplarLoss(net, bank, expression, recipe=Recipe())

    def loss():
        return module.loss([*inputs, target])

    seen = losses(module, loss, steps=60)
    assert seen[-1] < 0.3 * seen[0]
    assert_every_parameter_learns(net, loss())
