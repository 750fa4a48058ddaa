"""The bridge from exemplars to tokens, by its formula."""

from __future__ import annotations

import torch

from stsr.nn.layers.exemplars import ExemplarBridge


def test_it_is_its_formula():
    bridge = ExemplarBridge(6, 5, 4, 3)
    tokens, features, expression = torch.randn(2, 7, 6), torch.randn(2, 3, 5), torch.randn(2, 3, 4)
    x = bridge.norm(tokens[1, 2])
    message = torch.zeros(3)
    for e, y in zip(features[1], expression[1], strict=True):
        gate = torch.sigmoid(bridge.gate_token(x) + bridge.gate_exemplar(e))
        message = message + gate * (bridge.from_features(e) + bridge.from_expression(y)) / 3
    expected = tokens[1, 2] + bridge.out(torch.sigmoid(bridge.accept(x)) * message)
    torch.testing.assert_close(bridge(tokens, features, expression)[1, 2], expected)


def test_the_order_of_exemplars_does_not_matter():
    bridge, order = ExemplarBridge(6, 5, 4, 3), torch.tensor([2, 0, 1])
    tokens, features, expression = torch.randn(2, 7, 6), torch.randn(2, 3, 5), torch.randn(2, 3, 4)
    torch.testing.assert_close(
        bridge(tokens, features[:, order], expression[:, order]), bridge(tokens, features, expression)
    )
