"""Blocks of CMT: attention to reduced maps against its equation, and residuals."""

from __future__ import annotations

import torch

from stsr.nn.layers.cmt import CmtBlock, CmtStage, MapNorm, ReducedAttention


def test_attention_follows_its_equation():
    torch.manual_seed(0)
    layer = ReducedAttention(8, 2, 2).eval()
    x, bias = torch.randn(3, 8, 4, 4), torch.randn(2, 16, 4)
    few = layer.reduce(x)
    assert few.shape == (3, 8, 2, 2)
    query, key, value = (
        project(m.flatten(2).mT) for project, m in ((layer.query, x), (layer.key, few), (layer.value, few))
    )
    heads = []
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        weights = torch.softmax(query[..., part] @ key[..., part].mT / 4**0.5 + bias[head], dim=-1)
        heads.append(weights @ value[..., part])
    expected = layer.merge(torch.cat(heads, dim=-1)).mT.unflatten(2, (4, 4))
    torch.testing.assert_close(layer(x, bias), expected)


def test_maps_are_normalised_token_by_token():
    x = MapNorm(6)(torch.randn(2, 6, 3, 5))
    torch.testing.assert_close(x.mean(dim=1), torch.zeros(2, 3, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(dim=1, correction=0), torch.ones(2, 3, 5), atol=1e-3, rtol=0)


def test_a_block_adds_to_its_input():
    block = CmtBlock(8, 2, 2).eval()
    for layer in (block.local, block.attention.merge, block.narrow[0]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(block(x, torch.zeros(2, 16, 4)), x)


def test_a_stage_halves_the_sides_and_its_blocks_share_biases():
    stage = CmtStage(3, 8, 2, 2, 3, 4)
    assert stage(torch.randn(2, 3, 8, 8)).shape == (2, 8, 4, 4)
    assert len(stage.blocks) == 3
    assert stage.bias.shape == (2, 16, 4)
