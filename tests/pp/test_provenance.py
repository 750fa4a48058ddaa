"""Features are of the image and grid as they are, and of one encoder with one set of weights, or a sentence says so."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import stsr
from stsr.pp.provenance import checked, made_of
from stsr.tl.fitting import ready

GRID, KEY = "grid_032um", "features_texture_032um"


class Colour(torch.nn.Module):
    """Mean colour of 16 px patches, times a weight."""

    name = "colour"
    grid_size = (14, 14)

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))

    def get_transform(self):
        """From a tile (h, w, 3) to what the model takes."""
        return lambda tile: torch.from_numpy(tile).permute(2, 0, 1).float()

    def encode_image_dense(self, images):
        """Mean colour of every patch, scaled."""
        return torch.nn.functional.avg_pool2d(images, 16).flatten(2).mT * self.scale


class Plain:
    """The same without a state."""

    grid_size = (14, 14)

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.get_transform = Colour().get_transform

    def encode_image_dense(self, images):
        """Mean colour of every patch, scaled."""
        return torch.nn.functional.avg_pool2d(images, 16).flatten(2).mT * self.scale


@pytest.fixture
def section():
    """A section with a grid of 32 µm, in memory."""
    sdata = stsr.datasets.synthetic_section(size=(600, 600), n_genes=4, seed=0)
    stsr.pp.calibrate_image(sdata, target_mpp=2, stain=None)
    stsr.pp.make_grid(sdata, bin_size=32)
    return sdata


def run(sdata, **options):
    return stsr.pp.extract_features(sdata, grid=GRID, progress=False, device="cpu", **options)


def fit(sdata, **options):
    usual = {"method": "ridge", "genes": 3, "grid": GRID, "device": "cpu", "progress": False, "key_added": "t"}
    return stsr.tl.fit_super_resolution(sdata, **{**usual, **options})


def test_features_of_another_calibration_are_made_again_or_refused(section, caplog):
    run(section)
    model = fit(section)
    before = section[KEY].data.compute()
    stsr.pp.calibrate_image(section, target_mpp=2, stain="reinhard", overwrite=True)
    with pytest.raises(
        ValueError, match="show another image than 'he', .* run stsr.pp.extract_features.*overwrite=True"
    ):
        fit(section, features=KEY, key_added="u")
    with pytest.raises(ValueError, match="show another image than 'he'"):
        stsr.tl.predict(section, model, features=KEY, key_added="u")
    with caplog.at_level(logging.INFO, logger="stsr"):
        stsr.tl.predict(section, model, key_added="u", progress=False)
    assert f"{KEY}: made again" in caplog.text
    assert not np.array_equal(section[KEY].data.compute(), before)
    assert checked(section, KEY, GRID).encoder.same(model.encoder)
    fit(section, features=KEY, key_added="v")


def test_features_of_another_grid_of_that_name_are_made_again_or_refused(section):
    run(section)
    stsr.pp.make_grid(section, bin_size=32, angle=9, overwrite=True)
    with pytest.raises(ValueError, match="were made for grid='grid_032um' as it was before it was made anew; run stsr"):
        checked(section, KEY, GRID)
    assert ready(section, stsr.methods.create("ridge"), grid=GRID, progress=False).encoder.name == "texture"


def test_what_the_sentence_says_to_run_helps(section):
    """The remedy, as code."""
    run(section, key_added="mine")
    stsr.pp.calibrate_image(section, target_mpp=2, stain="reinhard", overwrite=True)
    with pytest.raises(ValueError, match="run stsr.pp.extract_features") as told:
        checked(section, "mine", GRID)
    code = str(told.value).rpartition("run ")[2].rstrip(".")
    eval(code, {"stsr": stsr, "sdata": section})
    checked(section, "mine", GRID)


def test_own_objects_are_known_by_their_weights_or_run_again(section, caplog):
    with caplog.at_level(logging.INFO, logger="stsr"):
        key = run(section, encoder=Colour())
        run(section, encoder=Colour())
    assert "features_colour_032um: cached" in caplog.text
    with pytest.raises(ValueError, match="was made from another image, grid or encoder; pass overwrite=True"):
        run(section, encoder=Colour(2.0))
    first = made_of(section, key).encoder
    run(section, encoder=Colour(2.0), overwrite=True)
    assert not first.same(made_of(section, key).encoder)
    # nobody can tell two plain objects apart: what is asked for is what is made
    method = stsr.methods.create("ridge")
    for scale in (1.0, 2.0, 2.0):
        made = ready(section, method, grid=GRID, encoder=Plain(scale), device="cpu", progress=False)
        assert made.features == "features_Plain_032um"
        level = float(section[made.features].data.max().compute())
        assert (level > 300) == (scale > 1)
    told = Plain(1.0)
    told.identity = "version 1"
    run(section, encoder=told, key_added="told")
    run(section, encoder=told, key_added="told")


def test_a_model_does_not_take_features_of_other_weights(section, tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        import timm

        torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / f"{seed}.pth")
    key = run(section, encoder="test_vit", weights=tmp_path / "1.pth")
    model = fit(section, features=key)
    assert (model.encoder.name, model.encoder.weights) == ("test_vit", "file")
    assert len(model.encoder.checksum) == 64
    run(section, encoder="test_vit", weights=tmp_path / "2.pth", overwrite=True)
    with pytest.raises(
        ValueError, match="were made by encoder 'test_vit' with weights from a file .*fitted on 'test_vit'"
    ):
        stsr.tl.predict(section, model, key_added="u", progress=False)
    with pytest.raises(ValueError, match="exists already and was made from another .* pass overwrite=True"):
        stsr.tl.predict(section, model, weights=tmp_path / "1.pth", key_added="u", progress=False)
    about = section["t"].uns["stsr"]
    assert (about["encoder"], about["encoder_checksum"]) == ("test_vit", model.encoder.checksum)


@pytest.mark.parametrize("name", ["test_vit", "uni", "hf-hub:somebody/model", "resnet18.a1_in1k"])
def test_a_model_never_makes_anything_be_downloaded(section, monkeypatch, name):
    from dataclasses import replace

    model = fit(section)
    for weights in ("published", "random", "file", "none", "own"):
        lying = replace(model, encoder=replace(model.encoder, name=name, weights=weights))
        monkeypatch.setattr("stsr.encoders.create", lambda *args, **kwargs: pytest.fail("made an encoder"))
        with pytest.raises(ValueError, match=f"of the model's encoder '{name}'.* are missing; "):
            stsr.tl.predict(section, lying, key_added="u", progress=False)
    if ":" in name:
        with pytest.raises(ValueError, match="are missing; "):
            stsr.tl.predict(section, lying, weights="random", key_added="u", progress=False)


def test_a_model_is_saved_before_prediction_and_its_path_tried_before_training(section, tmp_path, monkeypatch):
    from stsr.methods import METHODS

    trained = []
    monkeypatch.setattr(METHODS["idw"], "fit", lambda self, *args, **kwargs: trained.append(self) or self)
    with pytest.raises(ValueError, match="model_out='.*' is a folder"):
        fit(section, method="idw", model_out=tmp_path)
    assert not trained

    def broken(self, section, *, device="auto"):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(METHODS["idw"], "on", broken)
    path = tmp_path / "new" / "model.safetensors"
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(section, method="idw", model_out=path)
    assert stsr.tl.Model.load(path).name == "idw"
    with pytest.raises(ValueError, match="model_out='.*' exists already; pass overwrite=True"):
        fit(section, method="idw", model_out=path)
