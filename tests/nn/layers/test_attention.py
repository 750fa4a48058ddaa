"""Who sees whom: gathered keys against torch's own attention, and blocks and heads by hand."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn

from stsr.nn.layers.attention import Attention, TransformerBlock
from stsr.nn.layers.heads import ReluHead


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_attention_is_torchs_own():
    ours, reference = Attention(24, 4, 6), nn.MultiheadAttention(24, 4, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.seen.weight]))
        reference.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.seen.bias]))
    reference.out_proj.load_state_dict(ours.merge.state_dict())
    asking, seen = torch.randn(3, 7, 24), torch.randn(3, 11, 24)
    expected, _ = reference(asking, seen, seen)
    torch.testing.assert_close(ours(asking, seen), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "kind", [lambda: Attention(24, 4, 5), lambda: TransformerBlock(24, 4, 5, 48)], ids=["attention", "block"]
)
def test_a_list_of_who_sees_whom_is_a_row_for_each_that_asks(kind):
    layer = kind()
    tokens = torch.randn(9, 24)
    near = torch.stack([torch.randperm(9)[:4] for _ in range(5)])
    rows = tokens[near]
    if isinstance(layer, Attention):
        listed, expected = layer(tokens[near[:, 0], None], tokens[:, None], near), layer(rows, rows)
    else:
        listed, expected = layer(tokens[:, None], near), layer(rows)
    torch.testing.assert_close(listed[:, 0], expected[:, 0], rtol=1e-4, atol=1e-5)


def test_a_block_normalises_before_each_of_its_halves():
    block = TransformerBlock(24, 4, 5, 48)
    x = torch.randn(2, 7, 24)
    normed = block.before(x)
    half = x + block.attention(normed, normed)
    torch.testing.assert_close(block(x), half + block.layers(block.between(half)))


def test_a_head_is_never_below_zero_and_starts_at_the_mean():
    head = ReluHead(24, 30)
    assert [type(layer) for layer in head.hidden] == [nn.Linear, nn.ReLU, nn.LayerNorm]
    assert (head.hidden[0].out_features, head.out.out_features) == (2048, 30)
    head.start_at(torch.full((30,), 5.0))
    expression = head(torch.randn(200, 24))
    assert expression.min() >= 0
    torch.testing.assert_close(expression.mean(dim=0), torch.full((30,), 5.0), atol=1.5, rtol=0)


def test_a_block_of_vision_transformers_is_timms():
    """Without biases of queries, keys and values, and heads that are together as wide as a token."""
    ours, theirs = TransformerBlock(24, 4, 6, 48, bias=False, dropout=0.3), Block(24, 4, mlp_ratio=2, proj_drop=0.3)
    attention = ours.attention
    with torch.no_grad():
        theirs.attn.qkv.weight.copy_(torch.cat([attention.query.weight, attention.seen.weight]))
    for layer, same in (
        (theirs.norm1, ours.before),
        (theirs.norm2, ours.between),
        (theirs.attn.proj, attention.merge),
        (theirs.mlp.fc1, ours.layers[0]),
        (theirs.mlp.fc2, ours.layers[3]),
    ):
        layer.load_state_dict(same.state_dict())
    x = torch.randn(2, 7, 24)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)
    torch.manual_seed(1)
    dropped = ours.train()(x)
    torch.manual_seed(1)
    torch.testing.assert_close(dropped, theirs.train()(x), rtol=1e-4, atol=1e-5)
