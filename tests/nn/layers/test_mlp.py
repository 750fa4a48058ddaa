"""Which layers a perceptron has."""

from __future__ import annotations

import pytest

from stsr.nn.layers.mlp import perceptron


@pytest.mark.parametrize(
    ("widths", "dropout", "layers"),
    [
        ((8, 4), 0.0, "Linear"),
        ((8, 16, 16, 4), 0.0, "Linear GELU Linear GELU Linear"),
        ((8, 4), 0.1, "Linear Dropout"),
        ((8, 16, 4), 0.1, "Linear GELU Dropout Linear Dropout"),
    ],
)
def test_layers(widths, dropout, layers):
    assert " ".join(type(layer).__name__ for layer in perceptron(*widths, dropout=dropout)) == layers
