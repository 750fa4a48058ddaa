"""A section of spots whose colour, and that of the spots beside them, say what they express; for networks of sections."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def spots(side: int, *, columns: int = 4, rows: int = 3, genes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """(n, 3, side, side) uint8 patches, (n, 2) columns and rows, and (n, genes) expression."""
    place = torch.cartesian_prod(torch.arange(columns), torch.arange(rows)).float()
    colour = torch.rand(len(place), 3)
    noise = torch.rand(len(place), 3, side, side)
    pixels = (200 * colour[..., None, None] + 55 * noise).to(torch.uint8)
    return pixels, place, colour @ torch.rand(3, genes) + 0.1 * place[:, :1]


def parameters(module: nn.Module) -> int:
    """How many there are."""
    return sum(parameter.numel() for parameter in module.parameters())


def assert_every_parameter_learns(net: nn.Module, loss: Tensor, *, but: tuple[str, ...] = ()) -> None:
    """The gradient of the loss reaches all of them; ``but`` names those without effect, such as biases before a softmax."""
    net.zero_grad()
    loss.backward()
    named = dict(net.named_parameters())
    idle = [name for name, value in named.items() if value.grad is None or not value.grad.any()]
    assert set(idle) <= set(but), idle
    assert set(but) <= set(named)


def losses(net: nn.Module, loss, *, steps: int = 30, rate: float = 3e-3) -> list[float]:
    """Of a few steps of Adam on one section; ``loss`` is called at each."""
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        seen.append(value.item())
    return seen
