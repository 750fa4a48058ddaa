"""Learning rates by epoch against their formulas; how optimisers step is tested with the training loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stsr.nn.training.optimisers import make_optimizer, make_schedule
from stsr.nn.training.recipe import Recipe

EPOCHS = np.arange(12)


@pytest.mark.parametrize(
    ("options", "factors"),
    [
        ({"schedule": "step", "period": 4, "factor": 0.5}, 0.5 ** (EPOCHS // 4)),
        ({"schedule": "cosine"}, (1 + np.cos(np.pi * EPOCHS / 12)) / 2),
        ({"schedule": "cosine", "period": 5}, (1 + np.cos(np.pi * (EPOCHS % 5) / 5)) / 2),
        ({"schedule": "polynomial", "power": 0.9}, (1 - EPOCHS / 12) ** 0.9),
    ],
)
def test_schedules_follow_their_formulas(options, factors):
    recipe = Recipe(learning_rate=0.2, epochs=12, **options)
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(1))], recipe, fused=False)
    schedule, rates = make_schedule(optimizer, recipe), []
    for _ in EPOCHS:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, 0.2 * factors, rtol=1e-9)


def test_a_constant_rate_needs_no_schedule():
    recipe = Recipe()
    assert make_schedule(make_optimizer([torch.nn.Parameter(torch.zeros(1))], recipe, fused=True), recipe) is None
