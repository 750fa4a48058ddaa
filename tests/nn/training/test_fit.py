"""Training from any dataset: which weights are kept, sections as batches, and workers that change nothing."""

from __future__ import annotations

import gc
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from stsr.imaging import Raster
from stsr.methods.shared.image_patches import ImagePatches, PatchDataset
from stsr.nn.backbones import create_backbone
from stsr.nn.training.fit import fit, task
from stsr.nn.training.recipe import Recipe
from stsr.nn.training.regression import Supervised
from stsr.nn.training.settings import Training
from stsr.nn.training.trainer import fork_seed

QUIET = Training("cpu", progress=False)


class Patches(nn.Module):
    """A linear layer on patches, with dropout, which draws from torch's global generator."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3 * 4 * 4, 2)

    def forward(self, patches):  # noqa: D102
        return self.out(nn.functional.dropout(patches.flatten(1).float() / 255, 0.5, self.training))


def patch_data(number, seed):
    rng = np.random.default_rng(seed)
    image = Raster(((rng.integers(0, 255, (3, 60, 60), dtype=np.uint8), np.diag([0.5, 0.5, 1.0])),))
    targets = rng.random((number, 2), dtype=np.float32)
    return PatchDataset(ImagePatches(image, rng.uniform(2, 28, (number, 2)), 4.0, 4), targets)


def trained(recipe, *, seed=3, workers=0, sections=None):
    with fork_seed(0):
        module = Supervised(Patches(), recipe=recipe)
    training = Training("cpu", progress=False, workers=workers)
    history = fit(module, patch_data(20, 0), patch_data(7, 1), seed=seed, training=training, sections=sections)
    return history, module.net.out.weight.detach()


RECIPE = Recipe(learning_rate=1e-2, epochs=3, batch=6, symmetries=True)


@pytest.fixture(scope="module")
def alone():
    return trained(RECIPE)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers, alone):
    """Not even with shuffled batches, random symmetries and dropout."""
    history, weight = trained(RECIPE, workers=workers)
    assert history == alone[0]
    assert torch.equal(weight, alone[1])


def test_a_seed_gives_one_result_and_another_seed_another(alone):
    torch.manual_seed(9)  # the caller's generator does not matter
    assert torch.equal(trained(RECIPE)[1], alone[1])
    assert not torch.equal(trained(RECIPE, seed=4)[1], alone[1])


def test_the_callers_generator_is_left_alone():
    torch.manual_seed(9)
    before = torch.get_rng_state()
    trained(RECIPE)
    assert torch.equal(torch.get_rng_state(), before)


class Backbone(nn.Module):
    """A network of timm on patches."""

    def __init__(self):
        super().__init__()
        self.net = create_backbone("test_convnext", weights="random", num_classes=3)

    def forward(self, patches):  # noqa: D102
        return self.net(patches.float() / 255 - 0.5)


def test_a_network_of_timm_learns_what_patches_show():
    """The colours of the squares of a board, and those of squares that it was not trained on."""
    colours = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    board = np.repeat(np.repeat((255 * colours).astype(np.uint8), 32, axis=1), 32, axis=2)
    centres = 16 * (np.argwhere(np.ones((8, 8)))[:, ::-1] + 0.5)
    image, targets = Raster(((board, np.diag([0.5, 0.5, 1.0])),)), colours.reshape(3, 64).T
    data, held_out = (
        PatchDataset(ImagePatches(image, centres[part], 16.0, 32), targets[part]) for part in (slice(48), slice(48, 64))
    )
    recipe = Recipe(optimizer="adamw", learning_rate=3e-3, epochs=15, batch=8, symmetries=True)
    with fork_seed(0):
        module = Supervised(Backbone(), recipe=recipe)
    history = fit(module, data, held_out, seed=0, training=QUIET)
    assert min(history["held_out"]) < 0.25 * held_out.targets.var(axis=0).mean()


class Overfitting(nn.Module):
    """Its one weight moves away from the validation data's."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):  # noqa: D102
        return self.weight * x


def overfit(**options):
    """Trained towards 5 by steps of 0.1 of what is left, and validated on 2: the best epoch is that nearest to 2."""
    module = Supervised(
        Overfitting(), recipe=Recipe(optimizer="sgd", learning_rate=0.05, epochs=20, batch=1, **options)
    )
    one = torch.ones(1, 1)
    history = fit(module, TensorDataset(one, 5 * one), TensorDataset(one, 2 * one), seed=0, training=QUIET)
    return history, module.net.weight.item()


def test_the_best_epoch_on_the_validation_data_is_kept():
    weights = 5 * (1 - 0.9 ** np.arange(1, 21))
    history, weight = overfit()
    np.testing.assert_allclose(history["held_out"], (weights - 2) ** 2, rtol=1e-4)
    assert weight == pytest.approx(weights[np.abs(weights - 2).argmin()], rel=1e-5)
    assert len(history["train"]) == 20


def test_the_last_epoch_is_kept_if_asked():
    assert overfit(keep="last")[1] == pytest.approx(5 * (1 - 0.9**20), rel=1e-5)


def test_patience_ends_it_early():
    history, weight = overfit(patience=2)
    best = int(np.argmin(history["held_out"]))
    assert len(history["held_out"]) == best + 3
    assert weight == pytest.approx(overfit()[1])


class Watched(Supervised):
    """Notes the first input of every item of a batch."""

    def __init__(self, recipe):
        super().__init__(nn.Linear(1, 1), recipe=recipe)
        self.batches, self.checks = [], []

    def training_step(self, batch, index):  # noqa: D102
        self.batches.append(batch[0][:, 0].tolist())
        return super().training_step(batch, index)

    def validation_step(self, batch, index):  # noqa: D102
        self.checks.append(batch[0][:, 0].tolist())
        super().validation_step(batch, index)


def numbers(count):
    return TensorDataset(torch.arange(count, dtype=torch.float32)[:, None], torch.zeros(count, 1))


def test_a_batch_is_a_section_where_no_size_is_given():
    module = Watched(Recipe(batch=None, epochs=8))
    sections = (["A", "B", "A", "C", "B", "A"], [1, 0, 1])
    fit(module, numbers(6), numbers(3), seed=0, training=QUIET, sections=sections)
    assert {tuple(batch) for batch in module.batches} == {(0, 2, 5), (1, 4), (3,)}
    assert len(module.batches) == 3 * 8
    assert module.batches[:3] != module.batches[3:6] or module.batches[:3] != module.batches[6:9]
    assert module.checks[:2] == [[1], [0, 2]]


def test_sections_of_patches_are_turned_as_a_whole():
    recipe = Recipe(learning_rate=1e-2, epochs=2, batch=None, symmetries=True)
    _, weight = trained(recipe, sections=(np.arange(20) % 3, np.zeros(7)))
    assert not torch.equal(weight, trained(replace(recipe, symmetries=False), sections=(np.arange(20) % 3, [1] * 7))[1])
    batches = task(
        Supervised(Patches(), recipe=recipe),
        patch_data(20, 0),
        patch_data(7, 1),
        seed=0,
        sections=(np.arange(20) % 3, np.zeros(7)),
    ).batches.batch_sampler
    assert [len({turn for _, turn in batch}) for batch in batches] == [1, 1, 1]


def test_what_cannot_be_turned_is_refused():
    with pytest.raises(
        ValueError, match="symmetries=True has no use with a TensorDataset, whose items cannot be turned"
    ):
        task(Watched(Recipe(symmetries=True)), numbers(3), numbers(3), seed=0)


def test_no_worker_outlives_its_training():
    trained(replace(RECIPE, epochs=1), workers=1)
    gc.collect()
    assert not multiprocessing.active_children()


def test_validation_is_in_order():
    module = Watched(Recipe(batch=4, epochs=2))
    fit(module, numbers(6), numbers(6), seed=0, training=QUIET)
    assert module.checks == [[0, 1, 2, 3], [4, 5]] * 2
    assert sorted(sum(module.batches[:2], [])) == list(range(6))


@pytest.mark.parametrize(
    ("batch", "sizes", "sections", "message"),
    [
        (4, (0, 3), None, "data has no spots; pass a dataset of 1 or more"),
        (4, (3, 0), None, "held_out has no spots"),
        (None, (3, 3), None, "sections=None is not allowed with batch=None; pass the section of each spot"),
        (None, (3, 3), ([0, 0, 1], [0, 1]), r"sections of shape \(2,\) do not fit held_out of 3 spots"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(batch, sizes, sections, message):
    with pytest.raises(ValueError, match=message):
        task(Watched(Recipe(batch=batch)), *map(numbers, sizes), seed=0, sections=sections)
