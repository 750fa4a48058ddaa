"""HisToGene: the published procedure and ours."""

from __future__ import annotations

import numpy as np
import pytest
from toys.patches import SECTION_METHODS, painted_toy

from stsr.methods import Training, create
from stsr.methods.histology.histogene import HistoGeneConfig

TINY = SECTION_METHODS["histogene"]


def test_the_published_recipe():
    config = HistoGeneConfig(faithful=True)
    recipe = config.recipe()
    assert (recipe.optimizer, recipe.learning_rate, recipe.epochs, recipe.batch) == ("adam", 1e-5, 100, None)
    assert (recipe.keep, recipe.patience, recipe.symmetries, recipe.clip_norm) == ("last", None, False, None)
    assert (config.width, config.depth, config.slots, config.pixels) == (1024, 8, 64, 112)
    ours = HistoGeneConfig().recipe()
    assert (ours.optimizer, ours.batch, ours.keep, ours.symmetries, ours.patience) == ("adamw", None, "best", True, 20)


def test_the_published_target_and_back():
    section = painted_toy().section
    method = create("histogene", {"faithful": True})
    target, counts = method._target(section), section.counts.toarray()
    total = counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(10**target - 1, 1e4 * counts / total, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(method._spot_counts(target), counts / total * np.median(total), rtol=1e-3, atol=1e-3)


def test_published_pixels_are_not_scaled_and_published_patches_are_in_pixels():
    section = painted_toy().section
    assert create("histogene", TINY | {"faithful": True}).section_network(2).scale == 1
    assert create("histogene", TINY).section_network(2).scale == 1 / 255
    assert create("histogene", {"faithful": True}).patch_size(section) == 112 * section.raster.mpp


def test_a_width_of_no_whole_heads_is_refused():
    with pytest.raises(ValueError, match="width=100 is not allowed; pass a multiple of 64."):
        create("histogene", {"width": 100})


def test_faithful_trains_for_all_epochs():
    section = painted_toy().section
    options = TINY | {"faithful": True, "epochs": 3}
    fitted = create("histogene", options).fit(section, seed=0, training=Training("cpu", progress=False))
    assert len(fitted.history["train"]) == 3
