"""The register of encoders."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from stsr.encoders import ENCODERS, create, register, source
from stsr.encoders.registry import known_name


def test_every_known_encoder_says_what_it_is():
    assert list(ENCODERS)[0] == "texture"
    for name, info in ENCODERS.items():
        assert info.name == name
        assert all((info.title, info.licence, info.source, info.dim > 0, info.mpp > 0)), name
        assert info.tile == 0 or info.tile % info.patch == 0


def test_texture_takes_no_weights():
    with pytest.raises(ValueError, match=r"weights='a.pth' cannot be used: the encoder 'texture' has none"):
        create("texture", weights="a.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt18", r"encoder='resnt18' is not known; did you mean resnet18"),
        ("unii", r"did you mean uni[,?]"),
        ("!", r"encoder='!' is not known; choose one of texture, uni, .* and any model name of timm"),
    ],
)
def test_an_unknown_name_lists_the_known_and_the_close(name, message):
    with pytest.raises(ValueError, match=message):
        create(name)


def test_weights_cannot_go_with_an_object():
    with pytest.raises(ValueError, match="cannot be loaded into an encoder object"):
        create(object(), weights="a.pth")


def test_the_source_tells_weights_apart(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"1")
    digest = hashlib.sha256(b"1").hexdigest()
    assert source("resnet18", file) == source("timm:resnet18", tmp_path) == f"resnet18 {digest}"
    assert source("resnet18", None) == "resnet18 published"
    assert source("resnet18", "random") == "resnet18 random"
    assert source(object(), None) is None
    with pytest.raises(ValueError, match="weights='a.pth' cannot be used: the encoder 'texture' has none"):
        source("texture", "a.pth")
    with pytest.raises(ValueError, match="encoder='resnett18' is not known"):
        source("resnett18", None)


def test_the_register_goes_before_timm():
    """resnet50 is one thing by either name."""
    assert known_name("timm:resnet50") == known_name("resnet50") == "resnet50"
    assert create("timm:resnet50", weights="random", device="cpu").info is ENCODERS["resnet50"]


def test_info_is_plain_data():
    assert dataclasses.asdict(ENCODERS["uni"])["source"] == "hf-hub:MahmoodLab/uni"


def test_a_name_is_given_once():
    info = dataclasses.replace(ENCODERS["texture"], title="another")
    with pytest.raises(ValueError, match="encoder='texture' is registered already; choose another name"):
        register(info, lambda **options: None)
