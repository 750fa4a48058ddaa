"""The network's parts: shapes, what they may look at, and what they reduce to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stsr.nn.layers import gene_subsets
from stsr.nn.layers.spot_sums import CELL_SUBSETS
from stsr.nn.networks.cross_attention import CrossAttentionNet, ImageQueriesExpression
from stsr.nn.networks.hidden_spots import HiddenSpots, Tile
from stsr.nn.networks.image_tokens import ImageTokens, field_of_view
from stsr.nn.networks.patch import Neighbours, Patch

SIZES = {
    "dim": 16,
    "heads": 4,
    "width": 8,
    "rank": 6,
    "read": (12,),
    "stem": 8,
    "dilations": (1, 2),
    "lengths": (50.0, 300.0),
    "reach": 2,
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
def test_a_token_a_block_at_any_resolution(halvings):
    net = ImageTokens(12, halvings, stem=8, dilations=(1, 2))
    assert net(torch.randn(2, 3, 10 * 2**halvings, 14 * 2**halvings)).shape == (2, 12, 10, 14)


@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
def test_a_token_sees_no_further_than_its_field(halvings):
    net, k = ImageTokens(8, halvings, stem=8, dilations=(1, 2)).double(), 2**halvings
    pixels = torch.randn(1, 3, 31 * k, 31 * k, dtype=torch.float64)
    changed = pixels.clone()
    far = 15 - field_of_view((1, 2)) - 1
    changed[:, :, : (far + 1) * k] = 0
    changed[:, :, :, : (far + 1) * k] = 0
    difference = (net(pixels) - net(changed)).abs().amax(dim=(0, 1))
    assert difference[15, 15] == 0
    assert difference[far, far] > 0


def test_a_cell_on_top_of_a_spot_reads_that_spot():
    ask = ImageQueriesExpression(16, 5, 2, heads=4, width=8, lengths=(1.0, 2.0))
    with torch.no_grad():
        ask.query.weight.zero_()
        ask.query.bias.zero_()
    distance = torch.tensor([[[0.0, 100.0, 120.0]]])
    density = torch.rand(1, 3, 3)
    attention = ask.attention(torch.randn(1, 1, 16), torch.randn(1, 3, 5), distance)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(1, 1, 4))
    answer = ask.interpolate(attention, density, torch.zeros(3))
    torch.testing.assert_close(answer[0, 0], density[0, 0] * attention[0, 0, 0, 0], rtol=1e-3, atol=1e-4)


def test_one_product_equals_mixing_the_heads_one_by_one():
    ask = ImageQueriesExpression(16, 5, 6, heads=4, width=8, lengths=(50.0, 300.0))
    torch.nn.init.normal_(ask.choice)
    attention = torch.rand(2, 3, 4, 6).softmax(dim=-1)
    density, mean = torch.rand(2, 5, 7), torch.rand(7)
    values = torch.cat([density, mean.expand(2, 1, -1)], dim=1)
    heads = torch.einsum("nphk,nkg->nphg", attention, values)
    slow = torch.einsum("nphg,hg->npg", heads, ask.choice.softmax(dim=0))
    torch.testing.assert_close(ask.interpolate(attention, density, mean), slow)


def make_patch(n, p, k, features, genes, size):
    return Patch(
        rowcol=torch.randint(4, size - 4, (n, p, 2)),
        distance=torch.rand(n, p, k) * 200,
        near=Neighbours(torch.randn(n, k, features), torch.rand(n, k, genes + 1), torch.randn(n, k, genes)),
        weight=torch.ones(n, p),
        context=torch.randn(n, p, 2),
    )


def test_untrained_it_interpolates():
    """The correction starts at exactly one, so training starts from an interpolation."""
    net = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES)
    patch = make_patch(3, 4, 6, 5, 7, 20)
    features = torch.randn(20, 20, 5)
    tokens, own = net.tokens(features, torch.randn(3, 80, 80)), patch.of(features)
    rates, library, latent = net(tokens, own, patch, torch.zeros(8))
    read = net.own_norm(patch.of(tokens.own) + net.read(torch.cat([own, patch.context], dim=-1)))
    attention = net.ask_spots.attention(read, patch.near.features, patch.distance)
    base = net.ask_spots.interpolate(attention, patch.near.density, torch.zeros(8))
    torch.testing.assert_close(torch.cat([rates, library], dim=-1), base)
    assert latent.shape == (3, 4, 6)


def test_without_spots_it_starts_from_the_mean():
    net, mean = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES), torch.rand(8)
    tokens = net.tokens(torch.randn(20, 20, 5), torch.randn(3, 80, 80))
    rates, library, _ = net(tokens, torch.randn(3, 4, 5), make_patch(3, 4, 0, 5, 7, 20), mean)
    torch.testing.assert_close(torch.cat([rates, library], dim=-1), mean.expand(3, 4, -1))


def test_the_image_says_how_much_there_is_of_all_genes_together():
    net, mean = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES), torch.rand(8)
    tokens, patch = net.tokens(torch.randn(20, 20, 5), torch.randn(3, 80, 80)), make_patch(3, 4, 6, 5, 7, 20)
    own = torch.randn(3, 4, 5)
    before = torch.cat(net(tokens, own, patch, mean)[:2], dim=-1)
    torch.nn.init.normal_(net.total.weight)
    factor = torch.cat(net(tokens, own, patch, mean)[:2], dim=-1) / before
    torch.testing.assert_close(factor, factor[..., :1].expand_as(factor))
    assert factor.std() > 0


def test_blocks_do_not_depend_on_the_window():
    """A cell's token is the same in any window that begins between blocks and leaves it its halo."""
    net = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES).double()
    halo, k = net.view.halo, net.view.pixels
    features = torch.randn(2 * halo + 12, 2 * halo + 12, 5, dtype=torch.float64)
    pixels = torch.randn(3, len(features) * k, len(features) * k, dtype=torch.float64)
    whole = net.tokens(features, pixels)
    part = net.tokens(features[4:, 2:], pixels[:, 4 * k :, 2 * k :])
    inner = slice(halo - net.ask_image.reach + 4, -(halo - net.ask_image.reach))
    for some, all_ in zip(part, whole, strict=True):
        torch.testing.assert_close(some[inner, inner], all_[4:, 2:][inner, inner])


def test_pixels_may_reach_further_than_features():
    net = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES)
    features, pixels = torch.randn(20, 24, 5), torch.randn(3, 20 * net.view.pixels, 24 * net.view.pixels)
    middle = slice(3, -3), slice(5, -5)
    for part, whole in zip(net.tokens(features[middle], pixels), net.tokens(features, pixels), strict=True):
        torch.testing.assert_close(part, whole[middle])


def test_some_genes_are_predicted_as_among_all():
    net = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES)
    for last in (net.correct, net.total, net.ask_spots):
        torch.nn.init.normal_(last.choice if last is net.ask_spots else last.weight)
    tokens = net.tokens(torch.randn(20, 20, 5), torch.randn(3, 80, 80))
    told = torch.randn(3, 4, 5), make_patch(3, 4, 6, 5, 7, 20), torch.rand(8)
    rates, library, latent = net(tokens, *told)
    genes = slice(1, None, 3)
    torch.testing.assert_close(net(tokens, *told, genes), (rates[..., genes], library, latent))


def test_a_step_of_training_is_judged_by_the_genes_whose_turn_it_is(monkeypatch):
    monkeypatch.setattr(gene_subsets, "GENES_PER_STEP", 3)
    net, patch = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES), make_patch(3, 5, 6, 5, 7, 20)
    tile = Tile(torch.randn(20, 20, 5), torch.randn(3, 80, 80), (False, False, False), patch, torch.rand(3, 8))
    module = HiddenSpots(
        net, torch.rand(8), library_weight=0.1, learning_rate=1e-3, weight_decay=0.0, total_steps=3
    ).train()
    for step in range(4 * CELL_SUBSETS):
        monkeypatch.setattr(HiddenSpots, "global_step", step)
        net.zero_grad()
        module.losses(tile)[0].backward()
        learns = (net.log_theta.grad != 0).nonzero().flatten().tolist()
        assert learns == (net.correct.weight.grad.abs().sum(dim=1) > 0).nonzero().flatten().tolist()
        assert learns == list(range(7))[step // CELL_SUBSETS % 3 :: 3]
    assert module.eval().spots(tile)[1].shape == (3, 8)


def test_every_parameter_learns():
    net = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES)
    for last in (net.correct, net.total):
        torch.nn.init.normal_(last.weight, std=0.1)
    tokens = net.tokens(torch.randn(20, 20, 5), torch.randn(3, 80, 80))
    rates, library, _ = net(tokens, torch.randn(3, 4, 5), make_patch(3, 4, 6, 5, 7, 20), torch.ones(8))
    (rates.sum() + library.sum()).backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert still == ["log_theta"]  # belongs to the loss


def test_cells_of_a_disc_take_turns_in_training(monkeypatch):
    net, patch = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES), make_patch(3, 5, 6, 5, 7, 20)
    tile = Tile(torch.randn(20, 20, 5), torch.randn(3, 80, 80), (False, False, False), patch, torch.rand(3, 8))
    rates = {"library_weight": 0.1, "learning_rate": 1e-3, "weight_decay": 0.0}
    module = HiddenSpots(net, torch.rand(8), total_steps=2, **rates)
    whole = module.eval().spots(tile)[1]
    module.train()
    parts = []
    for step in range(CELL_SUBSETS):
        monkeypatch.setattr(HiddenSpots, "global_step", step)
        share = patch.weight[:, step::CELL_SUBSETS].sum(dim=1) / patch.weight.sum(dim=1)
        parts.append(module.spots(tile)[1] * share[:, None])
    torch.testing.assert_close(sum(parts), whole)
    assert (parts[0] - parts[1]).abs().max() > 1e-3


@pytest.mark.parametrize("flip", list(np.ndindex(2, 2, 2)))
def test_orientation_moves_nothing(flip):
    """Without convolutions that know up from down, all eight orientations give the same tokens."""
    net = CrossAttentionNet(5, 2, 7, 3, 2, **SIZES)
    for layer in net.pixels.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data = layer.weight.data.mean(dim=(2, 3), keepdim=True).expand_as(layer.weight).contiguous()
    features, pixels = torch.randn(12, 10, 5), torch.randn(3, 48, 40)
    torch.testing.assert_close(
        net.tokens(features, pixels, tuple(map(bool, flip))), net.tokens(features, pixels), rtol=1e-4, atol=1e-4
    )
