"""The network of HISTEX: shapes, sizes and attention as torch computes it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stsr.nn.networks.histex import Attention, Block, HistexDiscs, HistexNet
from stsr.nn.training.recipe import Recipe


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_shapes_at_8_um_with_uni_features():
    net = HistexNet(1024 + 3 + 2, genes=30)
    image, expression = torch.randn(2, 49, 1029), torch.randn(2, 5, 32)
    latent = net.latent(image, expression, torch.ones(2, 49, dtype=torch.bool))
    assert latent.shape == (2, 49, 128)
    assert net(latent, image).shape == (2, 49, 30)


def test_sizes_are_those_of_two_blocks_of_three_attentions_and_the_published_head():
    image, genes, width = 1029, 785, 128

    def linear(a, b):
        return a * b + b

    attention = 5 * linear(width, width)
    assert count(Attention(None)) == attention == 82_560
    assert count(Block(None)) == 3 * attention
    head = linear(width + image, 1024) + linear(1024, 512) + 2 * linear(512, 512) + linear(512, genes)
    embeddings = linear(image, width) + linear(genes + 2, width)
    assert count(HistexNet(image, genes)) == embeddings + 6 * attention + head == 3_366_673


def test_attention_is_torchs_own_followed_by_a_residual_layer():
    ours, reference = Attention(None), nn.MultiheadAttention(128, 8, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        reference.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
    reference.out_proj.load_state_dict(ours.merge.state_dict())
    query, other = torch.randn(3, 7, 128), torch.randn(3, 11, 128)
    seen = torch.rand(3, 11) < 0.7
    expected, _ = reference(query, other, other, key_padding_mask=~seen)
    torch.testing.assert_close(ours(query, other, seen), expected + ours.after(expected), rtol=1e-4, atol=1e-5)


def test_scale_multiplies_the_scores():
    plain, scaled = Attention(None), Attention(8**-0.5)
    scaled.load_state_dict(plain.state_dict())
    query, other = torch.randn(1, 4, 128), torch.randn(1, 6, 128)
    assert not torch.allclose(scaled(query, other), plain(query, other))
    with torch.no_grad():
        factor = 8**-0.5 / 16**-0.5
        plain.query.weight *= factor
        plain.query.bias *= factor
    torch.testing.assert_close(scaled(query, other), plain(query, other), rtol=1e-4, atol=1e-5)


def test_output_stays_above_zero():
    net = HistexNet(10, genes=4)
    rates = net(100 * torch.randn(50, 128), 100 * torch.randn(50, 10))
    assert rates.min() >= 0
    assert rates.max() > 1


def test_cells_off_tissue_tell_the_others_nothing():
    net = HistexNet(10, genes=4)
    image, expression = torch.randn(2, 9, 10), torch.randn(2, 5, 6)
    inside = torch.rand(2, 9) < 0.6
    other = torch.where(inside[..., None], image, torch.randn(2, 9, 10))
    torch.testing.assert_close(
        net.latent(image, expression, inside)[inside], net.latent(other, expression, inside)[inside]
    )


def test_the_loss_is_that_of_the_weighted_sum_over_the_discs_cells():
    net, disc = HistexNet(10, genes=4), torch.tensor([True] * 6 + [False] * 3)
    image, expression = torch.randn(2, 9, 10), torch.randn(2, 5, 6)
    inside = torch.tensor([[True] * 9, [True] * 3 + [False] * 6])
    weight, target = torch.rand(2, 6), torch.rand(2, 4)
    cells = net(net.latent(image, expression, inside), image)[:, :6]
    sums = (cells * weight[..., None]).sum(dim=1)
    loss = HistexDiscs(net, disc, recipe=Recipe()).loss([image.half(), expression, inside, weight, target])
    torch.testing.assert_close(loss, ((sums - target) ** 2).mean(), rtol=1e-2, atol=1e-3)
