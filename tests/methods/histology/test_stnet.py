"""ST-Net: it begins with the mean, as published, and its predictions do not depend on how a patch lies."""

from __future__ import annotations

import numpy as np
import pytest
from toys.patches import TINY, painted_toy

from stsr.methods import Training, create
from stsr.methods.histology.patch_method import _values
from stsr.methods.histology.stnet import StNetConfig
from stsr.methods.shared.image_patches import symmetry

QUIET = Training(device="cpu", progress=False)


@pytest.fixture(scope="module")
def section():
    return painted_toy().section


def test_the_published_recipe():
    recipe = StNetConfig(faithful=True).recipe()
    assert (recipe.optimizer, recipe.momentum, recipe.reduction, recipe.learning_rate) == ("sgd", 0.9, "sum", 1e-6)
    assert (recipe.batch, recipe.epochs, recipe.loss, recipe.symmetries) == (32, 50, "mse", True)
    assert (recipe.clip_norm, recipe.patience, recipe.keep) == (None, None, "best")
    ours = StNetConfig().recipe()
    assert (ours.optimizer, ours.reduction, ours.learning_rate, ours.patience) == ("adamw", "mean", 1e-4, 5)


def test_before_training_it_predicts_the_mean_of_the_spots_it_is_trained_on(section):
    """The first loss on them is their variance, and hardly changes at a tiny learning rate."""
    fitted = create("stnet", TINY | {"epochs": 1, "learning_rate": 1e-8}).fit(section, seed=0, training=QUIET)
    mean = fitted.on(section, device="cpu")(slice(None)).mean
    np.testing.assert_allclose(mean, np.broadcast_to(mean[0], mean.shape), rtol=1e-3)
    assert (fitted.arrays["net0/out.bias"] < fitted.arrays["top"]).all()


def test_averaged_over_symmetries_a_patch_may_lie_in_any_way(section):
    method = create("stnet", TINY)
    net = method.network(2, "random").eval()
    patches = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    turned = [_values([net], symmetry(patches, k), method.turns) for k in range(8)]
    for other in turned[1:]:
        np.testing.assert_allclose(other, turned[0], rtol=1e-4, atol=1e-6)
    assert method.turns == 8
    one = create("stnet", TINY | {"turned": False}).turns
    assert one == 1
    assert not np.allclose(_values([net], symmetry(patches, 1), one), _values([net], patches, one), rtol=1e-4)


def test_published_colours_are_those_of_the_training_patches(section):
    fitted = create("stnet", TINY | {"faithful": True, "epochs": 1}).fit(section, seed=0, training=QUIET)
    mean, sd = (fitted.arrays[f"net0/encoder.{name}"] for name in ("mean", "sd"))
    ours = create("stnet", TINY | {"epochs": 1}).fit(section, seed=0, training=QUIET).arrays["net0/encoder.mean"]
    assert not np.allclose(mean, ours)
    whole = section.raster.read(np.diag([4.0, 4.0, 1.0]), (150, 150)) / 255
    np.testing.assert_allclose(mean, whole.mean(axis=(0, 1)), atol=0.1)
    assert (sd > 1 / 255).all()
