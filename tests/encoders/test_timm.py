"""timm's models as encoders, on real networks that have learned nothing."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from stsr.encoders import ENCODERS, create
from stsr.encoders.catalogue import PUBLISHED
from stsr.encoders.timm import _centre, create_published, import_timm
from stsr.geometry import Grid
from stsr.imaging.raster import Raster

MILLIONS = {
    "uni": 303.4,
    "uni2-h": 681.4,
    "virchow": 631.2,
    "virchow2": 631.2,
    "gigapath": 1135.0,
    "h-optimus-0": 1134.8,
    "h-optimus-1": 1134.8,
    "h0-mini": 85.7,
    "lunit-s8": 21.7,
    "lunit-s16": 21.7,
    "resnet50": 23.5,
}
"""Parameters of each published encoder."""


@pytest.fixture(scope="module")
def tiles():
    return np.random.default_rng(0).integers(0, 255, (3, 224, 224, 3), dtype=np.uint8)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.info.name)
def test_published_networks_are_what_their_authors_describe(published):
    options = dict(published.options)
    if published.swiglu:
        options |= {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": torch.nn.SiLU}
    info = published.info
    with torch.device("meta"):  # shapes only: no memory, no arithmetic
        model = timm.create_model(published.network, num_classes=0, **options).eval()
        output = model.forward_features(torch.zeros(1, 3, info.tile, info.tile))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(MILLIONS[info.name], abs=0.1)
    side = info.tile // info.patch
    expected = (1, info.dim, side, side) if info.name == "resnet50" else (1, info.prefix + side**2, info.dim)
    assert output.shape == expected
    assert getattr(model, "num_prefix_tokens", 0) == info.prefix


def test_vit_gives_the_patch_tokens_in_their_places(tiles):
    encoder = create("vit_tiny_patch16_224", weights="random", device="cpu")
    tokens = encoder.encode(tiles)
    assert (encoder.info.dim, encoder.info.tile, encoder.info.patch, encoder.info.prefix) == (192, 224, 16, 1)
    assert (tokens.shape, tokens.dtype) == ((3, 14, 14, 192), np.float32)
    pixels = (torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5  # timm's mean and std for this one
    with torch.inference_mode():
        whole = encoder._model.forward_features(pixels).numpy()
    np.testing.assert_allclose(tokens[:, 2, 5], whole[:, 1 + 2 * 14 + 5], atol=1e-4)


def test_a_published_encoder_works_from_its_entry_alone(tiles):
    """One of the gated kind, made small: gated feed-forward layers, register tokens."""
    virchow2 = next(p for p in PUBLISHED if p.info.name == "virchow2")
    small = replace(
        virchow2,
        info=replace(virchow2.info, dim=160),
        options={**virchow2.options, "depth": 1, "embed_dim": 160, "num_heads": 2},
    )
    encoder = create_published(small, weights="random", device="cpu", batch_size=2)
    assert encoder._model.num_prefix_tokens == encoder.info.prefix == 5
    assert type(encoder._model.blocks[0].mlp).__name__ == "GluMlp"
    assert encoder.encode(tiles[:1]).shape == (1, 16, 16, 160)


def test_an_ungated_entry_of_the_register_works_as_it_is(tiles):
    encoder = create("lunit-s16", weights="random", device="cpu")
    assert encoder.info is ENCODERS["lunit-s16"]
    assert encoder.encode(tiles[:1]).shape == (1, 14, 14, 384)


@pytest.mark.parametrize(
    ("name", "dim", "patch"), [("resnet18", 512, 32), ("timm:resnet10t", 512, 32), ("convnext_atto", 320, 32)]
)
def test_convolutional_networks_give_their_last_map(name, dim, patch, tiles):
    encoder = create(name, weights="random", device="cpu")
    tokens = encoder.encode(tiles[:2])
    assert (encoder.info.dim, encoder.info.patch, tokens.shape) == (dim, patch, (2, 7, 7, dim))
    assert np.isfinite(tokens).all()


@pytest.mark.parametrize(("padding", "centre"), [("both", 0.5), ("none", 8.0), ("after", 15.5)])
def test_where_a_map_looks_is_found_for_every_way_of_padding(padding, centre):
    """Four convolutions of stride 2 whose taps are all alike."""
    size = {"both": 3, "none": 2, "after": 3}[padding]
    pad = {"both": (1, 1, 1, 1), "none": (0, 0, 0, 0), "after": (0, 1, 0, 1)}[padding]
    x = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = x
    for _ in range(4):
        y = functional.conv2d(functional.pad(y, pad), torch.full((1, 1, size, size), 1 / size**2), stride=2)
    assert _centre(x, y.permute(0, 2, 3, 1), 16) == centre


def test_random_weights_are_the_same_each_time_and_leave_the_generator_alone(tiles):
    torch.manual_seed(7)
    state = torch.get_rng_state()
    once, again = (create("resnet10t", weights="random", device="cpu").encode(tiles[:1]) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "folder"])
def test_weights_come_from_a_local_file(tmp_path, tiles, suffix):
    torch.manual_seed(3)
    model = timm.create_model("resnet10t", num_classes=10).eval()  # with a classifier, as published files have
    state = model.state_dict()
    path = tmp_path / f"model.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": state}, path)
    else:
        save_file(state, tmp_path / "model.safetensors")
        path = tmp_path if suffix == "folder" else path
    encoder = create("resnet10t", weights=path, device="cpu")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((torch.from_numpy(tiles[:1]) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = model.forward_features(pixels).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(encoder.encode(tiles[:1]), expected, rtol=1e-3, atol=1e-4)


def test_weights_of_another_model_are_refused(tmp_path):
    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"are not of encoder 'resnet10t': \d+ tensors are missing"):
        create("resnet10t", weights=tmp_path, device="cpu")


class Evil:
    """Unpickling it would run code."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("kind", ["truncated.safetensors", "text.pth", "code.pth"])
def test_weights_that_are_not_plain_tensors_are_refused(tmp_path, kind, capsys):
    file = tmp_path / kind
    if kind == "code.pth":
        torch.save({"weight": Evil()}, file)
    else:
        file.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match="cannot be read as plain tensors"):
        create("resnet10t", weights=file, device="cpu")
    assert "run" not in capsys.readouterr().out


def _refuse(monkeypatch, error):
    def create_model(*args, **kwargs):
        raise error

    monkeypatch.setattr(timm, "create_model", create_model)


def test_a_gated_model_without_access_says_how_to_get_it(monkeypatch):
    from huggingface_hub.errors import GatedRepoError

    _refuse(monkeypatch, GatedRepoError("401", response=SimpleNamespace(headers={}, request=None)))
    with pytest.raises(PermissionError) as caught:
        create("uni")
    for part in ("'uni'", "ask for access", "MahmoodLab/uni", "hf auth login", "HF_TOKEN", "weights="):
        assert part in str(caught.value)


def test_no_connection_says_so(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    _refuse(monkeypatch, LocalEntryNotFoundError("offline"))
    with pytest.raises(ConnectionError, match=r"encoder='h-optimus-0' could not be downloaded .* pass a local file"):
        create("h-optimus-0")
    with pytest.raises(PermissionError, match="encoder='virchow2' could not be downloaded"):
        create("virchow2")


def test_an_unknown_tag_of_a_known_model_is_refused():
    with pytest.raises(ValueError, match="encoder='resnet18.nonsense' cannot be made by timm: Invalid pretrained tag"):
        create("resnet18.nonsense")


def test_a_torchvision_that_does_not_fit_torch_is_explained(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "timm":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.delitem(sys.modules, "timm")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(RuntimeError, match="torchvision was built for another torch"):
        import_timm()


def test_features_of_a_real_network_have_no_seams():
    """On tissue that repeats itself cell by cell, features repeat too, wherever tiles begin and end."""
    cell = np.random.default_rng(1).integers(60, 220, (3, 16, 16), dtype=np.uint8)
    raster = Raster(((np.tile(cell, (1, 40, 44)), np.diag([0.5, 0.5, 1])),))
    grid = Grid(np.array([[8.0, 0, 32], [0, 8.0, 32], [0, 0, 1]]), np.ones((16, 18), dtype=bool))
    encoder = create("vit_tiny_patch16_224", weights="random", device="cpu")
    features = encoder.encode_rows(raster, grid, slice(None))
    for axis in (1, 2):
        jumps = np.abs(np.diff(features, axis=axis)).mean(axis=(0, 3 - axis))
        assert jumps.max() < 3 * np.median(jumps)


def test_encoders_are_quiet(caplog):
    with caplog.at_level(logging.INFO, logger="stsr"):
        create("test_vit", weights="random", device="cpu")
    assert not caplog.records
    assert "test_vit" not in ENCODERS
