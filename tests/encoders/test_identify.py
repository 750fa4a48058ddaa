"""Checksums of weights do not depend on the file or the device, and tell everything else."""

from __future__ import annotations

import numpy as np
import torch

from stsr.encoders import create, is_local, kind_of_weights
from stsr.encoders.identify import object_checksum, state_checksum


def test_values_names_types_and_shapes_count_and_order_does_not():
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1)}
    known = state_checksum(state)
    assert known == state_checksum(dict(reversed(state.items())))
    assert known == state_checksum(
        {"a": torch.arange(6.0).reshape(3, 2).T.contiguous().T.reshape(2, 3), "b": state["b"]}
    )
    others = (
        {**state, "a": state["a"].reshape(3, 2)},
        {**state, "a": state["a"].double()},
        {**state, "a": state["a"] + 1e-6},
        {"a": state["a"], "c": state["b"]},
        {"a": state["a"]},
    )
    assert len({known, *map(state_checksum, others)}) == 6
    assert state_checksum({"a": np.arange(3)}) != state_checksum({"a": np.arange(4)})
    assert state_checksum({"a": torch.zeros(0), "b": torch.ones(2, dtype=torch.bfloat16)})


def test_a_network_has_the_checksum_of_its_weights_however_they_are_kept(tmp_path):
    from safetensors.torch import save_file

    first = create("test_vit", weights="random", device="cpu")
    torch.save(first._model.state_dict(), tmp_path / "a.pth")
    save_file(first._model.state_dict(), tmp_path / "a.safetensors")
    loaded = [create("test_vit", weights=tmp_path / name, device="cpu") for name in ("a.pth", "a.safetensors")]
    assert {encoder.checksum for encoder in loaded} == {first.checksum}


def test_an_object_is_known_by_its_identity_or_its_state():
    class Own:
        pass

    own = Own()
    assert object_checksum(own) is None
    own.name = "own"
    assert object_checksum(own) is None  # a name says nothing of what it holds
    own.identity = "1"
    one = object_checksum(own)
    own.identity = "2"
    assert one != object_checksum(own)
    assert object_checksum(torch.nn.Linear(2, 2)) != object_checksum(torch.nn.Linear(2, 2))


def test_only_what_needs_no_hub_is_local():
    assert is_local("texture", None)
    assert is_local("uni", "uni.pth")
    assert not is_local("uni", None)
    assert not is_local("hf-hub:a/b", "uni.pth")
    assert not is_local("timm:hf-hub:a/b", "random")
    assert [
        kind_of_weights(*each) for each in (("texture", None), ("uni", None), ("uni", "random"), ("uni", "a.pth"))
    ] == [
        "none",
        "published",
        "random",
        "file",
    ]
    assert kind_of_weights(object(), None) == "own"
