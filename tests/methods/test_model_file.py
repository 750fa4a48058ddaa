"""Files of models: written as a whole or not at all, and read only when they are what was written."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from toys.methods import fitted, own_section
from toys.model_mutants import mutants, sealed
from toys.section import toy_encoder

from stsr.methods import METHODS, model_file
from stsr.tl import Model
from stsr.tl._bands import proper


@pytest.fixture(scope="module")
def section():
    return own_section()


def save(name, section, folder):
    """The file of a fitted model."""
    method = fitted(name)
    encoder = toy_encoder(section) if "features" in method.info.needs else None
    return Model(method, section.genes, 16.0, encoder, seed=3).save(folder / f"{name}.safetensors")


@pytest.fixture(scope="module", params=sorted(METHODS))
def saved(request, section, tmp_path_factory):
    return save(request.param, section, tmp_path_factory.mktemp("models"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy tells of overflows too
def test_changed_files_are_refused_in_one_sentence_or_predict_counts(saved, section, tmp_path):
    path, refused = tmp_path / "changed.safetensors", 0
    for what, data in mutants(saved, np.random.default_rng(5), 56):
        path.write_bytes(data)
        start = time.perf_counter()
        try:
            model = Model.load(path)
            prediction = proper(model.method.on(section, device="cpu")(slice(None)), model.name, section.genes)
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error), what
            assert len(str(error)) < 500, what
        else:
            assert np.isfinite(prediction.mean).all(), what
            assert prediction.mean.min() >= 0, what
        assert time.perf_counter() - start < 5, what
    assert 35 <= refused < 56


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("dim", 1024, "array .* but the method needs"),
        ("dim", 10**6, "dim=1000000 is not allowed"),
        ("attention_networks", 32, "array 'net1/.*' is (missing|.* but the method needs)"),
        ("attention_networks", 10**6, "attention_networks=1000000 is not allowed"),
        ("heads", 3, "array .* but the method needs"),
        ("read", [2048] * 4, "array .* (is missing|but the method needs)"),
        ("unknown", 1, "has no option 'unknown'"),
    ],
)
def test_a_header_cannot_ask_for_more_than_the_file_holds(option, value, message, section, tmp_path):
    path = save("cross_attention", section, tmp_path)
    text, arrays, _ = model_file.read(path)
    facts = json.loads(text)
    facts["options"][option] = value
    path.write_bytes(sealed(facts, arrays))
    with pytest.raises(ValueError, match=message):
        Model.load(path)


def test_a_header_as_long_as_it_likes_is_not_read(tmp_path):
    path = tmp_path / "bomb.safetensors"
    for length in (2**63, 2**40, model_file.LONGEST + 1, 0):
        with path.open("wb") as file:
            file.write(length.to_bytes(8, "little"))
            file.truncate(2**25)  # sparse: there is room for what it says
        with pytest.raises(ValueError, match="is damaged or no .safetensors file"):
            Model.load(path)


def test_a_path_is_tried_before_it_is_needed(tmp_path):
    new = tmp_path / "a" / "b" / "model.safetensors"
    assert model_file.check_vacant(new, False) == new
    assert new.parent.is_dir()
    assert not list(new.parent.iterdir())
    file = tmp_path / "file"
    file.touch()
    for path, message in (
        (tmp_path, "path='.*' is a folder; name a file in it"),
        ("", "is a folder"),
        (file, "exists already; pass overwrite=True"),
        (file / "model.safetensors", "is a file; choose another path|cannot be written"),
        (None, "path=None is not a path"),
        ("a\0b", "is not a path"),
        (tmp_path / ("x" * 300), "cannot be written .File name too long"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            model_file.check_vacant(path, False)
    assert model_file.check_vacant(file, True) == file


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OSError, match=f"model_out='{tmp_path}/m.safetensors' may not be written"):
        model_file.check_vacant(tmp_path / "m.safetensors", False, name="model_out")


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (SafetensorError("I/O error: No space left on device (os error 28)"), "does not fit on its disk; free space"),
        (SafetensorError("I/O error: something (os error 5)"), "cannot be written"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "does not fit on its disk"),
    ],
)
def test_a_write_that_fails_leaves_what_was_there(saved, tmp_path, monkeypatch, cause, message):
    model = Model.load(saved)
    path = model.save(tmp_path / "model.safetensors")
    before = path.read_bytes()

    def fail(arrays, where, metadata):
        Path(where).write_bytes(b"half of it")
        raise cause

    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(OSError, match=f"path='{path}' {message}"):
        model.save(path, overwrite=True)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]


def test_what_is_no_plain_file_is_not_opened(tmp_path):
    with pytest.raises(ValueError, match="is not a file but a folder"):
        Model.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with pytest.raises(ValueError, match="is not a file but"):
        Model.load(tmp_path / "pipe")
    with pytest.raises(ValueError, match="path=3 is not a path"):
        Model.load(3)
