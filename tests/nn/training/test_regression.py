"""A recipe trains as a loop that is written out by hand."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from stsr.nn.training.fit import fit
from stsr.nn.training.recipe import Recipe
from stsr.nn.training.regression import Regression, Supervised
from stsr.nn.training.settings import Training
from stsr.nn.training.trainer import fork_seed

QUIET = Training("cpu", progress=False)
SEED = 5
EPOCHS = 6


@pytest.fixture(scope="module")
def spots():
    """Inputs (30, 4) and targets (30, 3)."""
    with fork_seed(0):
        x = torch.randn(30, 4)
        return TensorDataset(x, x @ torch.randn(4, 3) + 0.1 * torch.randn(30, 3))


@pytest.fixture
def net():
    with fork_seed(1):
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


RECIPES = {
    "ST-Net": {"optimizer": "sgd", "learning_rate": 1e-3, "momentum": 0.9, "reduction": "sum"},
    "DeepSpaCE": {"learning_rate": 1e-2, "weight_decay": 1e-4, "loss": "smooth_l1"},
    "Hist2ST": {"learning_rate": 1e-2, "schedule": "step", "period": 2, "factor": 0.5},
    "EGN": {
        "optimizer": "adamw",
        "learning_rate": 1e-2,
        "weight_decay": 0.1,
        "schedule": "cosine",
        "period": 4,
        "clip_norm": 0.1,
    },
    "polynomial": {"optimizer": "sgd", "learning_rate": 0.1, "schedule": "polynomial", "power": 2.0, "shuffle": False},
}


def rate(recipe, epoch):
    """Learning rate of an epoch, by the formulas of the documentation."""
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.factor ** (epoch // recipe.period)
    if recipe.schedule == "cosine":
        turn = torch.tensor(torch.pi * (epoch % recipe.period) / recipe.period, dtype=torch.float64)
        return recipe.learning_rate * float(1 + torch.cos(turn)) / 2
    if recipe.schedule == "polynomial":
        return recipe.learning_rate * (1 - epoch / recipe.epochs) ** recipe.power
    return recipe.learning_rate


def by_hand(net, spots, recipe):
    """The network after training, and its losses by epoch."""
    net = copy.deepcopy(net)
    error = {"mse": F.mse_loss, "smooth_l1": F.smooth_l1_loss}[recipe.loss]
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    extra = {"momentum": recipe.momentum} if recipe.optimizer == "sgd" else {}
    optimizer = kind(net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, **extra)
    order = torch.Generator().manual_seed(SEED)
    batches = DataLoader(spots, batch_size=recipe.batch, shuffle=recipe.shuffle, generator=order)
    losses = []
    for epoch in range(recipe.epochs):
        optimizer.param_groups[0]["lr"] = rate(recipe, epoch)
        total = 0.0
        for x, target in batches:
            loss = error(net(x), target)
            total += loss.item() * len(x)
            optimizer.zero_grad()
            (loss * len(x) if recipe.reduction == "sum" else loss).backward()
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(net.parameters(), recipe.clip_norm)
            optimizer.step()
        losses.append(total / len(spots))
    return net, losses


@pytest.mark.parametrize("name", RECIPES)
def test_training_is_that_of_a_loop_written_by_hand(name, net, spots):
    recipe = Recipe(epochs=EPOCHS, batch=8, keep="last", **RECIPES[name])
    expected, losses = by_hand(net, spots, recipe)
    module = Supervised(net, recipe=recipe)
    history = fit(module, spots, spots, seed=SEED, training=QUIET)
    assert history["train"] == pytest.approx(losses, rel=1e-5)
    for ours, theirs in zip(module.net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_recipes_differ(net, spots):
    trained = [by_hand(net, spots, Recipe(epochs=EPOCHS, batch=8, **options))[1][-1] for options in RECIPES.values()]
    assert all(abs(a - b) > 1e-4 for a, b in itertools.combinations(trained, 2))


def test_frozen_weights_stay_as_they_are(net, spots):
    """As in transfer learning: only the last layer learns, with weight decay too."""
    net[0].requires_grad_(False)
    before = net[0].weight.clone()
    recipe = Recipe(optimizer="adamw", weight_decay=1.0, learning_rate=0.1, epochs=2)
    fit(Supervised(net, recipe=recipe), spots, spots, seed=SEED, training=QUIET)
    assert torch.equal(net[0].weight, before)


def test_a_loss_of_ones_own_is_trained_too(spots):
    class Halved(Regression):
        def loss(self, batch):
            return self.error(self.net(batch[0]) / 2, batch[1])

    module = Halved(nn.Linear(4, 3), recipe=Recipe(learning_rate=0.1, epochs=150))
    history = fit(module, spots, spots, seed=SEED, training=QUIET)
    x, target = spots.tensors
    slope = torch.linalg.lstsq(torch.cat([x, torch.ones(30, 1)], dim=1), 2 * target).solution
    torch.testing.assert_close(module.net.weight.detach(), slope[:4].T, atol=0.02, rtol=0)
    assert set(history) == {"train", "held_out"}
