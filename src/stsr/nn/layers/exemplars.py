"""What networks take from exemplars: similar spots of other sections, of which image and expression are known.

Shapes: ``n`` windows (the spots to be predicted), ``t`` tokens a window, ``k`` exemplars of each window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ExemplarBridge(nn.Module):
    r"""Tokens, and what their exemplars add to them through gates.

    With :math:`x` the normalised token, :math:`e_j` the features of an exemplar and :math:`y_j` its expression,

    .. math::
        m = \frac 1 k \sum_j \sigma(A x + B e_j) \odot (V e_j + E y_j), \qquad
        \text{token} \leftarrow \text{token} + O(\sigma(G x) \odot m),

    where all maps are linear with biases and :math:`\sigma` is the logistic function.

    It is the exemplar bridging block of EGN in its purpose, its inputs and its gates. The description that it was built from
    leaves the layers open, so they are our own.

    Parameters
    ----------
    width
        Of a token.
    features, expression
        Widths of an exemplar's features and of its expression.
    inner
        Width of gates and messages.

    References
    ----------
    Yang et al. 2023, "Exemplar guided deep neural network for spatial transcriptomics analysis of gene expression
    prediction", WACV, arXiv 2210.16721.
    """

    def __init__(self, width: int, features: int, expression: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate_token, self.gate_exemplar = nn.Linear(width, inner), nn.Linear(features, inner)
        self.from_features, self.from_expression = nn.Linear(features, inner), nn.Linear(expression, inner)
        self.accept, self.out = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, tokens: Tensor, features: Tensor, expression: Tensor) -> Tensor:
        """(n, t, width) from (n, t, width) tokens and the (n, k, features) and (n, k, expression) of exemplars."""
        x = self.norm(tokens)
        gate = torch.sigmoid(self.gate_token(x)[:, :, None] + self.gate_exemplar(features)[:, None])
        message = self.from_features(features) + self.from_expression(expression)
        mean = (gate * message[:, None]).mean(dim=2)
        return tokens + self.out(torch.sigmoid(self.accept(x)) * mean)
