"""Checkpoints come back as they were, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file
from toys.section import toy_encoder, toy_section

from stsr.methods import Training, create
from stsr.methods.shared.standardise import Scaling
from stsr.tl import Model

SMALL = {"steps": 4, "dim": 16, "heads": 4, "stem": 8, "dilations": (1, 2), "attention_networks": 1}


@pytest.fixture(scope="module")
def model():
    section = toy_section().section
    method = create("cross_attention", SMALL).fit(section, seed=3, training=Training("cpu", progress=False))
    return Model(method, section.genes, 8.0, toy_encoder(section), seed=3)


def test_a_round_trip_changes_nothing(model, tmp_path):
    back = Model.load(model.save(tmp_path / "model.safetensors"))
    assert back.method.config == model.method.config
    assert (back.name, back.genes, back.bin_size, back.encoder) == ("cross_attention", model.genes, 8.0, model.encoder)
    assert (back.n_features, back.seed) == (model.n_features, 3)
    assert back.history == model.history
    section = toy_section().section
    ours, theirs = (m.method.on(section, device="cpu")(slice(0, 10)).mean for m in (model, back))
    np.testing.assert_array_equal(ours, theirs)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_components_are_learned_row_major():
    section = toy_section().section
    assert Scaling.learn(section, width=3).matrix.flags.c_contiguous


def test_a_file_of_raw_memory_is_refused_with_the_reason(model, tmp_path):
    path = tmp_path / "old.safetensors"
    save_file({"scaling/matrix": np.ones((3, 2), dtype=np.float32)}, path, metadata={"stsr": '{"format": 2}'})
    with pytest.raises(ValueError, match="has format 2 .it may hold arrays in another order .* fit the model again"):
        Model.load(path)


def test_what_is_not_finite_is_no_model():
    section = toy_section().section
    method = create("ridge").fit(section, seed=0, training=Training("cpu", progress=False))
    method.arrays["intercept"][1] = np.nan
    with pytest.raises(ValueError, match="method='ridge' could not be fitted: array 'intercept'"):
        Model(method, section.genes, 8.0, toy_encoder(section), seed=0)


def test_a_transposed_array_and_one_of_another_byte_order_are_settled(tmp_path):
    section = toy_section().section
    method = create("ridge").fit(section, seed=0, training=Training("cpu", progress=False))
    wanted = method.arrays["coefficients"].copy()
    method.arrays["coefficients"] = np.asfortranarray(wanted).astype(">f4")
    model = Model(method, section.genes, 8.0, toy_encoder(section), seed=0)
    back = Model.load(model.save(tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(back.method.arrays["coefficients"], wanted)


def test_an_existing_file_is_not_replaced_unasked(model, tmp_path):
    path = model.save(tmp_path / "model.safetensors")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="overwrite=True"):
        model.save(path)
    assert path.read_bytes() == before
    model.save(path, overwrite=True)


def test_what_is_no_model_is_refused_in_one_sentence(model, tmp_path):
    path = model.save(tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Model.load(tmp_path / "nothing.safetensors")

    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        Model.load(cut)

    text = tmp_path / "text.safetensors"
    text.write_text("not a model")
    with pytest.raises(ValueError, match="damaged"):
        Model.load(text)

    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": np.ones(3, dtype=np.float32)}, foreign)
    with pytest.raises(ValueError, match="not written by stsr"):
        Model.load(foreign)

    newer = tmp_path / "newer.safetensors"
    save_file({"weight": np.ones(3, dtype=np.float32)}, newer, metadata={"stsr": '{"format": 99}'})
    with pytest.raises(ValueError, match="update stsr"):
        Model.load(newer)

    older = tmp_path / "older.safetensors"
    save_file({"weight": np.ones(3, dtype=np.float32)}, older, metadata={"stsr": '{"format": 1}'})
    with pytest.raises(ValueError, match="fit the model again"):
        Model.load(older)


def test_unknown_methods_and_options_name_the_known_ones():
    with pytest.raises(ValueError, match="cross_attention, .*nearest"):
        create("cross_atention")
    with pytest.raises(ValueError, match="no option 'stepps'; it has .*steps"):
        create("cross_attention", {"stepps": 3})
