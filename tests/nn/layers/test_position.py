"""Learned embeddings of positions: whole ones are looked up, others lie between."""

from __future__ import annotations

import torch

from stsr.nn.layers.position import Places


def test_whole_places_are_looked_up_and_others_lie_between():
    places = Places(3, 512, blank=False)
    x, y = places.x.weight, places.y.weight
    torch.testing.assert_close(places(torch.tensor([[4.0, 9.0]]))[0], x[4] + y[9])
    torch.testing.assert_close(places(torch.tensor([[4.25, 9.0]]))[0], 0.75 * x[4] + 0.25 * x[5] + y[9])
    torch.testing.assert_close(places(torch.tensor([[-3.0, 700.0]]))[0], x[0] + y[511])


def test_blank_places_say_nothing_yet():
    assert not Places(3, 512, blank=True)(torch.rand(5, 2) * 512).any()
    assert Places(3, 512, blank=False)(torch.rand(5, 2) * 512).std() > 0.5


def test_each_axis_is_looked_up_by_its_own_coordinate():
    places, place = Places(3, 16), torch.rand(5, 2) * 15
    x, y = places.axes(place)
    torch.testing.assert_close(places(place), x + y)
    moved = places.axes(place + torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(moved[0], x)
    assert not torch.allclose(moved[1], y)
