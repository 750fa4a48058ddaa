"""DeepSpaCE: patches as wide as published whatever the platform, and the published scale of expression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys.patches import TINY, painted_toy

from stsr.geometry import Disc, Square
from stsr.methods import Training, create
from stsr.methods.histology.deepspace import DeepSpaceConfig

QUIET = Training("cpu", progress=False)


@pytest.fixture(scope="module")
def section():
    return painted_toy().section


def test_the_published_recipe():
    recipe = DeepSpaceConfig(faithful=True).recipe()
    assert (recipe.loss, recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == (
        "smooth_l1",
        "adam",
        1e-4,
        1e-4,
    )
    assert (recipe.epochs, recipe.batch, recipe.patience) == (50, 128, 5)
    ours = DeepSpaceConfig().recipe()
    assert (ours.loss, ours.optimizer, ours.batch) == ("smooth_l1", "adamw", 32)


@pytest.mark.parametrize("faithful", [False, True])
def test_a_patch_is_two_and_a_half_spots_wide(section, faithful):
    method = create("deepspace", {"faithful": faithful})
    assert method.patch_size(replace(section, aperture=Disc(55.0))) == 137.5
    assert method.patch_size(replace(section, aperture=Disc(100.0))) == 250.0
    assert method.patch_size(replace(section, aperture=Square(16.0))) == 40.0
    method.arrays["patch"] = np.array([137.5])
    assert method.patch_size_on(replace(section, aperture=Disc(100.0))) == 137.5  # as learned


def test_the_published_target_lies_between_0_and_1_of_every_gene(section):
    options = TINY | {"faithful": True, "epochs": 1}
    method = create("deepspace", options).fit(section, seed=0, training=QUIET)
    target = method._target(section)
    np.testing.assert_allclose(target.min(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(target.max(axis=0), 1, atol=1e-6)
    corrected = section.counts.toarray() * (method.arrays["library"] / section.library[:, None])
    np.testing.assert_allclose(method._spot_counts(target), corrected, rtol=1e-3)


def test_a_gene_without_counts_stays_without(section):
    empty = section.counts.toarray()
    empty[:, 0] = 0
    bare = replace(section, counts=type(section.counts)(empty))
    method = create("deepspace", TINY | {"faithful": True, "epochs": 1}).fit(bare, seed=0, training=QUIET)
    mean = method.on(bare, device="cpu")(slice(None)).mean
    assert (mean[:, 0] < 1e-3).all()
    assert np.isfinite(mean).all()
