"""HisToGene: its published size, what a spot's prediction depends on, and that it learns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from toys.sections import assert_every_parameter_learns, losses, parameters, spots

from stsr.nn.networks.histogene import HistoGeneNet

SMALL = {"size": 8, "width": 16, "depth": 2, "heads": 2, "head": 4, "hidden": 32}


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert parameters(HistoGeneNet(785)) == 222_253_841


@pytest.mark.parametrize("n", [1, 7, 300])
def test_a_section_may_have_any_number_of_spots(n):
    net = HistoGeneNet(5, **SMALL).eval()
    assert net(torch.zeros(n, 3, 8, 8), torch.zeros(n, 2)).shape == (n, 5)


def test_the_order_of_spots_is_that_of_predictions():
    net, (pixels, place, _), order = HistoGeneNet(5, **SMALL).eval(), spots(8), torch.randperm(12)
    torch.testing.assert_close(net(pixels[order], place[order]), net(pixels, place)[order])


def test_a_prediction_depends_on_pixels_position_and_all_other_spots():
    net, (pixels, place, _) = HistoGeneNet(5, **SMALL).eval(), spots(8)
    before = net(pixels, place)
    for change in (pixels.clone(), place.clone()):
        change[-1] += 5
        after = net(*(change, place) if change.dim() == 4 else (pixels, change))
        assert ((after - before).abs().amax(dim=1) > 1e-6).all()


def test_faithful_pixels_are_not_scaled():
    ours, published = HistoGeneNet(5, **SMALL).eval(), HistoGeneNet(5, **SMALL, faithful=True).eval()
    published.load_state_dict(ours.state_dict())
    pixels, place, _ = spots(8)
    torch.testing.assert_close(published(pixels / 255, place), ours(pixels, place))
    assert not torch.allclose(published(pixels, place), ours(pixels, place))


def test_dropout_is_in_training_alone():
    net, (pixels, place, _) = HistoGeneNet(5, **SMALL, dropout=0.5), spots(8)
    assert not torch.equal(net(pixels, place), net(pixels, place))
    net.eval()
    assert torch.equal(net(pixels, place), net(pixels, place))


def test_it_learns():
    pixels, place, target = spots(8)
    net = HistoGeneNet(4, **SMALL, dropout=0)

    def loss():
        return F.mse_loss(net(pixels, place), target)

    seen = losses(net, loss)
    assert seen[-1] < 0.2 * seen[0]
    used = torch.zeros(64, dtype=torch.bool)
    assert_every_parameter_learns(net, loss())
    used[place.long().unique()] = True
    assert not net.places.x.weight.grad[~used].any()


def test_it_starts_at_the_mean():
    net, (pixels, place, target) = HistoGeneNet(4, **SMALL), spots(8)
    net.start_at(target.mean(dim=0))
    torch.testing.assert_close(net(pixels, place), target.mean(dim=0).expand(12, 4))
