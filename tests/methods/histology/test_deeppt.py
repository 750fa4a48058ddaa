"""DeepPT: the published procedure and ours."""

from __future__ import annotations

import numpy as np
from toys.patches import TINY, painted_toy

from stsr.methods import Training, create
from stsr.methods.histology.deeppt import DeepPtConfig


def test_the_published_recipe():
    config = DeepPtConfig(faithful=True)
    recipe = config.recipe()
    assert (recipe.optimizer, recipe.epochs, recipe.batch, recipe.loss) == ("adam", 500, 32, "mse")
    assert (config.states, config.backbone) == (5, "resnet50")
    ours = DeepPtConfig().recipe()
    assert (ours.optimizer, ours.epochs, ours.patience) == ("adamw", 50, 5)


def test_published_counts_are_the_networks_output():
    section = painted_toy().section
    options = TINY | {"faithful": True, "epochs": 1}
    fitted = create("deeppt", options).fit(section, seed=0, training=Training("cpu", progress=False))
    np.testing.assert_array_equal(fitted._target(section), section.counts.toarray())
    np.testing.assert_allclose(fitted.arrays["top"], section.counts.toarray().max(axis=0), rtol=0.2)


def test_validation_compares_expression_alone():
    """At a tiny learning rate the validation loss is the variance of expression; restoring features would add to it."""
    section = painted_toy().section
    options = TINY | {"epochs": 1, "learning_rate": 1e-8}
    fitted = create("deeppt", options).fit(section, seed=0, training=Training("cpu", progress=False))
    assert fitted.history["held_out"][0] < fitted.history["train"][0]
