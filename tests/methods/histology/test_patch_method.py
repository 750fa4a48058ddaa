"""What all methods of image patches share: patches in µm, what is held out, units, and backbones."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toys.patches import PATCH_METHODS, painted_toy

from stsr.joined import join
from stsr.methods import Training, create
from stsr.methods.histology import patch_method
from stsr.methods.shared.requirements import whole_spots
from stsr.methods.shared.targets import log_normalised
from stsr.metrics import pearson
from stsr.nn.backbones import create_backbone

QUIET = Training(device="cpu", progress=False)
LEARNING = {"epochs": 25, "learning_rate": 3e-3, "batch": 8, "patience": 25}
DEEPER = {"tcgn_lite": {"epochs": 8, "learning_rate": 1e-3}}


def fit(name, section, **options):
    return create(name, PATCH_METHODS[name] | options).fit(section, seed=0, training=QUIET)


def predict(method, section):
    return method.on(section, device="cpu")(slice(None)).mean


@pytest.fixture(scope="module")
def toy():
    return painted_toy()


@pytest.fixture(scope="module")
def other():
    return painted_toy(seed=4)


@pytest.mark.parametrize("name", PATCH_METHODS)
def test_it_learns_what_the_image_shows_and_predicts_another_section_without_spots(name, toy, other):
    fitted = fit(name, toy.section, **LEARNING | DEEPER.get(name, {}))
    assert min(fitted.history["held_out"]) < 0.7 * fitted.history["held_out"][0]
    image_only = other.section.subset(np.arange(0))
    assert pearson(predict(fitted, image_only), other.truth)[0] > 0.6


@pytest.mark.parametrize("name", PATCH_METHODS)
@pytest.mark.parametrize("faithful", [False, True])
def test_cells_add_up_to_what_was_measured(name, faithful, toy):
    """Whatever the target, and of a network that predicts the mean of every gene."""
    cells = predict(fit(name, toy.section, faithful=faithful, epochs=1, learning_rate=1e-8), toy.section)
    inside = whole_spots(toy.section)
    measured = toy.section.counts[inside].sum(axis=0)
    np.testing.assert_allclose((toy.section.footprint @ cells)[inside].sum(axis=0), measured, rtol=0.1)


@pytest.mark.parametrize("name", PATCH_METHODS)
@pytest.mark.parametrize("faithful", [False, True])
def test_a_target_is_turned_back_into_the_counts_that_it_came_from(name, faithful, toy):
    """Of spots of the median library."""
    counts = toy.section.counts.toarray()
    counts[:, 1] = 4000 - counts[:, 0]  # all spots have as many counts of the genes predicted, too
    library = np.full(len(counts), 8000.0)
    section = replace(toy.section, library=library, counts=type(toy.section.counts)(counts))
    method = create(name, {"faithful": faithful})
    method.arrays = {"library": np.array([8000.0])}
    got = method._spot_counts(method._target(section))
    np.testing.assert_allclose(got, section.counts.toarray(), rtol=1e-3, atol=1e-3)


def test_all_methods_have_one_target_unless_faithful(toy):
    for name in PATCH_METHODS:
        np.testing.assert_array_equal(create(name)._target(toy.section), log_normalised(toy.section, 1e4))


def test_patches_are_cut_in_um_unless_faithful(toy):
    assert create("stnet").patch_size(toy.section) == 112.0
    assert create("stnet", {"patch": 80.0}).patch_size(toy.section) == 80.0
    assert create("stnet", {"faithful": True}).patch_size(toy.section) == 224 * toy.section.raster.mpp


def test_a_prediction_is_that_of_the_patch_around_a_point(toy):
    """Checked against the network, on the points of the lattice that are centres of cells."""
    method = fit("stnet", toy.section, spacing=16.0, turned=False)
    net = method.network(2, "random").eval()
    net.load_state_dict({k.removeprefix("net0/"): torch.as_tensor(v) for k, v in method.arrays.items() if "net0/" in k})
    cells = [5, 300, 700]
    patches = patch_method.ImagePatches(toy.section.raster, toy.section.grid.xy[cells], 48.0, 32)
    with torch.inference_mode():
        values = net(torch.as_tensor(np.moveaxis(np.stack([patches[i] for i in range(3)]), -1, 1).copy())).numpy()
    counts = np.expm1(np.minimum(values, method.arrays["top"])) / 1e4 * method.arrays["library"]
    np.testing.assert_allclose(
        predict(method, toy.section)[cells], counts * method.arrays["factor"], rtol=1e-4, atol=1e-6
    )


def test_of_several_sections_a_whole_one_is_held_out(toy, other, monkeypatch):
    seen = []
    monkeypatch.setattr(patch_method, "validation_split", watched(seen))
    both = join([replace(toy.section, section_name="A"), replace(other.section, section_name="B")])
    fitted = fit("stnet", both)
    ((learned, held_out),) = seen
    assert {*learned} ^ {*held_out} == {"A", "B"}
    assert predict(fitted, other.section).shape == other.truth.shape


def watched(seen):
    real = patch_method.validation_split

    def split(section, share, rng):
        parts = real(section, share, rng)
        seen.append(tuple(set(section.spot_section[part]) for part in parts))
        return parts

    return split


def test_a_batch_of_one_patch_is_left_out(toy):
    """Batch normalisation has no variance there: of the last map of a patch of 32 pixels, one value is left."""
    spots = np.flatnonzero(whole_spots(toy.section))[:30]
    learned = 27
    for batch in (learned - 1, 2, 13):
        assert learned % batch == 1
        fit("stnet", toy.section.subset(spots), batch=batch, epochs=1)


def test_ensemble_members_differ_and_their_median_is_predicted(toy):
    two = fit("stnet", toy.section, states=2)
    assert not np.array_equal(
        two.arrays["net0/encoder.backbone.conv1.0.weight"], two.arrays["net1/encoder.backbone.conv1.0.weight"]
    )
    assert set(two.history) == {"train", "held_out", "train 2", "held_out 2"}
    assert predict(two, toy.section).shape == toy.truth.shape


def test_an_untrained_backbone_is_told_and_one_with_weights_is_not(toy, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        fitted = fit("stnet", toy.section)
    assert "method='stnet' starts from a test_resnet that has learned nothing" in caplog.text
    assert fitted.config.weights == "random"  # what the table keeps
    caplog.clear()
    torch.manual_seed(5)
    save_file(create_backbone("test_resnet", weights="random").state_dict(), tmp_path / "weights.safetensors")
    with caplog.at_level(logging.WARNING):
        fitted = fit("stnet", toy.section, weights=str(tmp_path), epochs=1, learning_rate=1e-8)
    assert "learned nothing" not in caplog.text
    torch.manual_seed(5)
    expected = create_backbone("test_resnet", weights="random").conv1[0].weight.detach().numpy()
    np.testing.assert_allclose(fitted.arrays["net0/encoder.backbone.conv1.0.weight"], expected, atol=1e-5)
    (tmp_path / "weights.safetensors").unlink()
    predict(fitted, toy.section)  # the file is not needed any more


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"backbone": "hf-hub:someone/model"},
            "backbone='hf-hub:someone/model' would be looked up on the hub.*; name a network of timm",
        ),
        ({"backbone": "densenet12"}, "backbone='densenet12' is no network of timm; did you mean .*densenet121"),
        ({"weights": "nowhere.pth"}, "weights='.*nowhere.pth' is neither a file nor a folder"),
        (
            {"backbone": "vit_tiny_patch16_224"},
            "pixels=32 is not allowed with backbone='vit_tiny_patch16_224'; pass the size of the images",
        ),
    ],
)
def test_what_is_no_backbone_is_refused_in_one_sentence(options, message, toy):
    with pytest.raises(ValueError, match=message):
        fit("stnet", toy.section, **options)


@pytest.mark.parametrize("name", PATCH_METHODS)
def test_backbone_and_patches_of_the_defaults_go_together(name):
    """On shapes alone: published weights would be downloaded."""
    create(name).check_network()


def test_a_long_training_is_told_before_it_begins(toy, monkeypatch, caplog):
    monkeypatch.setattr(patch_method, "training_seconds", lambda *args: 1000.0)
    with caplog.at_level(logging.WARNING):
        fit("stnet", toy.section, epochs=1)
    assert "Training of method='stnet' for all of 1 epochs takes about 16 min on this machine" in caplog.text


@pytest.mark.parametrize("name", PATCH_METHODS)
def test_the_callers_generator_is_left_alone(name, toy):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    fitted = fit(name, toy.section, epochs=1)
    predict(fitted, toy.section)
    assert torch.equal(torch.get_rng_state(), before)
