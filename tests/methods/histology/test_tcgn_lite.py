"""TCGN with lighter graph blocks: published training, patches and trunk."""

from __future__ import annotations

import pytest
from toys.patches import PATCH_METHODS, painted_toy

from stsr.methods import Training, create
from stsr.methods.histology.tcgn_lite import TcgnLiteConfig


def test_the_published_recipe():
    recipe = TcgnLiteConfig(faithful=True).recipe()
    assert (recipe.optimizer, recipe.learning_rate, recipe.epochs, recipe.batch) == ("adam", 1e-5, 80, 32)
    assert (TcgnLiteConfig().recipe().optimizer, TcgnLiteConfig().recipe().learning_rate) == ("adamw", 1e-4)


def test_a_patch_is_112_pixels_or_56_um():
    section = painted_toy().section
    assert create("tcgn_lite").patch_size(section) == 56.0
    assert create("tcgn_lite", {"faithful": True}).patch_size(section) == 112 * section.raster.mpp
    assert create("tcgn_lite", {"faithful": True, "patch": 70.0}).patch_size(section) == 70.0


def test_it_is_not_started_without_saying_how():
    options = {name: value for name, value in PATCH_METHODS["tcgn_lite"].items() if name != "weights"}
    with pytest.raises(ValueError, match="weights=None is not allowed with method='tcgn_lite'.* or 'random'"):
        create("tcgn_lite", options).fit(painted_toy().section, seed=0, training=Training("cpu", progress=False))


def test_patches_are_multiples_of_its_tokens():
    with pytest.raises(ValueError, match="pixels=100 is not allowed; pass a multiple of 32, such as 224"):
        create("tcgn_lite", {"pixels": 100})
