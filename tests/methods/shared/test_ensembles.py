"""Networks trained one after another: what is held out, what is kept, and what comes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from stsr.methods import Training
from stsr.methods.shared.ensembles import load_states, train_ensemble
from stsr.methods.super_resolution.istar import IstarConfig
from stsr.nn.networks.istar import IstarDiscs, IstarNet

QUIET = Training(device="cpu", progress=False)
RNG = np.random.default_rng(0)
SPOTS = (
    RNG.normal(size=(40, 4, 3)).astype(np.float32),
    np.full((40, 4), 0.25, np.float32),
    RNG.uniform(size=(40, 2)).astype(np.float32),
)


class Watched(IstarDiscs):
    """Notes the spots it is shown, by the first number of their tokens."""

    def __init__(self, recipe):
        super().__init__(IstarNet(3, genes=2), recipe=recipe)
        self.learned, self.held_out = [], []

    def training_step(self, batch, index):  # noqa: D102
        self.learned += batch[0][:, 0, 0].tolist()
        return super().training_step(batch, index)

    def validation_step(self, batch, index):  # noqa: D102
        self.held_out += batch[0][:, 0, 0].tolist()
        super().validation_step(batch, index)


def train(*, shuffle=True, seed=0, **options):
    seen: list[Watched] = []

    config = IstarConfig(**({"epochs": 2, "batch": 16, "learning_rate": 1e-3} | options))

    def module():
        seen.append(Watched(config.recipe(shuffle=shuffle)))
        return seen[-1]

    arrays, history = train_ensemble(module, SPOTS, config, seed=seed, training=QUIET)
    return arrays, history, seen


def test_each_state_holds_out_other_spots():
    _, _, (first, second) = train(states=2)
    for module in (first, second):
        assert len(set(module.held_out)) == 4
        assert len(set(module.learned)) == 36
        assert not set(module.learned) & set(module.held_out)
    assert set(first.held_out) != set(second.held_out)


def test_faithful_learns_from_all_spots_in_their_order_when_not_shuffled():
    _, history, (module,) = train(faithful=True, states=1, shuffle=False)
    assert module.learned == 2 * SPOTS[0][:, 0, 0].tolist()
    assert len(history["train"]) == 2


def test_members_are_trained_as_the_options_say():
    ours, published = IstarConfig(batch=7, patience=3), IstarConfig(faithful=True)
    assert (ours.recipe().batch, ours.recipe().patience, ours.recipe().clip_norm) == (7, 3, 1.0)
    assert ours.recipe(batch=9, shuffle=False) == replace(ours.recipe(), batch=9, shuffle=False)
    assert (published.recipe().epochs, published.recipe().learning_rate, published.recipe().patience) == (
        400,
        1e-4,
        None,
    )


def test_networks_come_back_as_they_were_trained():
    arrays, history, (first, second) = train(states=2)
    assert set(history) == {"train", "held_out", "train 2", "held_out 2"}
    x = torch.randn(5, 3)
    for module, net in zip((first, second), load_states([IstarNet(3, 2), IstarNet(3, 2)], arrays, "cpu"), strict=True):
        torch.testing.assert_close(net(x), module.net(x))
        assert not net.training


def test_seeds_share_no_state():
    weights = [train(states=2, seed=seed)[0][f"net{state}/out.weight"] for seed in (0, 1) for state in (0, 1)]
    assert len({weight.tobytes() for weight in weights}) == 4
    again = train(states=2, seed=1)[0]["net1/out.weight"]
    np.testing.assert_array_equal(again, weights[3])
