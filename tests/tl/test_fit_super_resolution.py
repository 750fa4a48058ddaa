"""The main verb end to end: what it writes, where, and what it refuses."""

from __future__ import annotations

import shutil
from fractions import Fraction

import numpy as np
import pytest
import spatialdata as sd
import torch
from hypothesis import given
from hypothesis import strategies as st

import stsr
from stsr.methods import METHODS, Prediction
from stsr.spatial import labels_to_grid, open_store, read_section, record
from stsr.tl._bands import in_runs

SMALL = {"steps": 6, "image_steps": 6, "dim": 16, "heads": 4, "stem": 8, "dilations": (1, 2), "attention_networks": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "section.zarr"
    stsr.datasets.synthetic_section(size=(600, 600), n_genes=12, store=path)
    return path


@pytest.fixture(scope="module")
def prepared(store, tmp_path_factory):
    """The section with grid and features, so that they are not made anew in each test."""
    path = tmp_path_factory.mktemp("prepared") / "section.zarr"
    shutil.copytree(store, path)
    sdata = open_store(path)
    stsr.pp.calibrate_image(sdata)
    stsr.pp.extract_features(sdata, grid=stsr.pp.make_grid(sdata, bin_size=8), progress=False)
    return path


@pytest.fixture
def bare(store, tmp_path):
    """A fresh copy of the section as it was read."""
    shutil.copytree(store, tmp_path / "section.zarr")
    return open_store(tmp_path / "section.zarr")


@pytest.fixture
def sdata(prepared, tmp_path):
    """A fresh copy of the section with grid and features for each test."""
    shutil.copytree(prepared, tmp_path / "section.zarr")
    return open_store(tmp_path / "section.zarr")


def fit(sdata, method="idw", **kwargs):
    return stsr.tl.fit_super_resolution(
        sdata, method=method, progress=False, device="cpu", **{"genes": "all", **kwargs}
    )


def test_the_table_keeps_its_contract(bare):
    model = fit(bare, "cross_attention", options=SMALL, seed=4)
    table, grid = bare["sr_008um"], labels_to_grid(bare, "grid_008um")
    facts = record(bare)
    assert table.shape == (grid.n_cells, 12)
    assert list(table.var_names) == list(bare["table"].var_names)
    np.testing.assert_array_equal(table.obs["bin_id"], np.arange(1, grid.n_cells + 1))
    assert table.obs["region"].cat.categories.tolist() == ["grid_008um"]
    np.testing.assert_array_equal(table.obs[["array_row", "array_col"]], grid.rowcol)
    np.testing.assert_allclose(table.obsm["spatial"] * facts.mpp, grid.xy)
    assert table.obsm["X_stsr"].shape == (grid.n_cells, 64)
    facts_of_run = table.uns["stsr"]
    assert (facts_of_run["method"], facts_of_run["seed"], facts_of_run["encoder"]) == ("cross_attention", 4, "texture")
    assert facts_of_run["encoder_weights"] == "none"
    assert facts_of_run["options"]["steps"] == 6
    assert list(facts_of_run["history"]["held_out"]) == model.history["held_out"]


def test_cells_under_a_spot_add_up_to_the_spot(sdata):
    fit(sdata, "cross_attention", options=SMALL | {"balance": "exact"})
    genes = list(sdata["table"].var_names)
    section = read_section(sdata, genes=genes, grid="grid_008um")
    inside = section.footprint.sum(axis=1) > 0.99 * section.spot_cells
    discs = (section.footprint @ sdata["sr_008um"].X)[inside]
    measured = section.counts.toarray()[inside]
    ratio = discs.sum(axis=1) / measured.sum(axis=1)
    assert np.median(np.abs(np.log(ratio))) < 0.1
    assert 0.95 < discs.sum() / measured.sum() < 1.05


def test_it_is_on_disk_and_the_same(sdata):
    fit(sdata)
    again = sd.read_zarr(sdata.path)
    np.testing.assert_array_equal(again["sr_008um"].X, sdata["sr_008um"].X)
    assert set(again.labels) == set(sdata.labels)


def test_memory_and_disk_give_the_same(sdata):
    fit(sdata)
    memory = stsr.datasets.synthetic_section(size=(600, 600), n_genes=12)
    fit(memory)
    np.testing.assert_array_equal(memory["sr_008um"].X, sdata["sr_008um"].X)


@pytest.mark.parametrize("method", ["nearest", "idw", "linear", "ridge"])
def test_a_saved_model_predicts_the_same(sdata, tmp_path, method):
    model = fit(sdata, method)
    loaded = stsr.tl.Model.load(model.save(tmp_path / "model.safetensors"))
    key = stsr.tl.predict(sdata, loaded, key_added="again", progress=False)
    np.testing.assert_array_equal(sdata[key].X, sdata["sr_008um"].X)


def test_an_existing_table_is_refused_before_any_work(sdata, monkeypatch):
    fit(sdata)
    before = sdata["sr_008um"].X.copy()

    def never(*args, **kwargs):
        raise AssertionError("trained although the result could not be written")

    monkeypatch.setattr(METHODS["nearest"], "fit", never)
    with pytest.raises(ValueError, match="overwrite=True"):
        fit(sdata, "nearest")
    monkeypatch.undo()
    fit(sdata, "nearest", overwrite=True)
    assert (before != sdata["sr_008um"].X).any()


def test_numpys_numbers_and_torchs_devices_are_as_good_as_pythons(sdata, tmp_path):
    model = stsr.tl.fit_super_resolution(
        sdata,
        method="idw",
        genes=sdata["table"].var_names[:5],
        bin_size=Fraction(16),
        seed=np.int64(3),
        device=torch.device("cpu"),
        model_out=tmp_path / "model.safetensors",
        progress=np.False_,
    )
    assert type(model.seed) is int
    assert stsr.tl.Model.load(tmp_path / "model.safetensors").seed == 3


def test_a_model_is_not_saved_in_the_store_but_may_be_at_home(sdata, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="model_out=.* lies in the store .*; name a file beside it"):
        fit(sdata, model_out=sdata.path / "model.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fit(sdata, model_out="~/model.safetensors")
    assert (tmp_path / "home" / "model.safetensors").is_file()


def test_a_failure_while_predicting_leaves_the_store_as_it_was(sdata, monkeypatch):
    fit(sdata)
    before = sdata["sr_008um"].X.copy()

    def broken(self, section, *, device="auto"):
        def predict(rows):
            if rows != slice(0, 1):
                raise RuntimeError("power cut")
            return Prediction(np.zeros((section.grid.cells(rows).stop, len(section.genes)), dtype=np.float32))

        return predict

    monkeypatch.setattr(METHODS["nearest"], "on", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(sdata, "nearest", overwrite=True)
    np.testing.assert_array_equal(open_store(sdata.path)["sr_008um"].X, before)


def test_one_sentence_for_what_cannot_be(sdata):
    with pytest.raises(ValueError, match="method='idv' is not known; choose one of .*idw"):
        fit(sdata, "idv")
    with pytest.raises(ValueError, match="no option 'stepps'"):
        fit(sdata, "idw", options={"stepps": 1})
    with pytest.raises(ValueError, match="genes='NOPE'"):
        fit(sdata, genes=["NOPE"])
    with pytest.raises(ValueError, match="bin_size=1"):
        fit(sdata, bin_size=1)
    with pytest.raises(KeyError, match="grid='mine' not found"):
        fit(sdata, grid="mine")
    assert "sr_008um" not in sdata.tables


def test_a_model_is_not_put_on_another_bin_size(sdata):
    model = fit(sdata)
    grid = stsr.pp.make_grid(sdata, bin_size=16)
    with pytest.raises(ValueError, match="cells of 16 µm, the model was fitted on 8 µm"):
        stsr.tl.predict(sdata, model, grid=grid, key_added="coarse")


def test_a_model_is_not_put_on_features_of_another_width(sdata):
    """As a store holds them from a version whose encoder of that name measured less."""
    model = fit(sdata, "ridge")
    name = next(key for key in sdata.images if key.startswith("features"))
    sdata.images[name] = sdata.images[name].isel(c=slice(0, 9))
    with pytest.raises(
        ValueError, match=f"are 9 a cell and were {model.n_features} when they were made; run stsr.pp.extract_features"
    ):
        stsr.tl.predict(sdata, model, key_added="narrow")


def test_genes_the_section_lacks_are_named(sdata):
    model = fit(sdata)
    other = stsr.datasets.synthetic_section(size=(600, 600), n_genes=8)
    with pytest.raises(
        ValueError, match="section 'synthetic' lacks .* and 3 other genes of the model, which method='idw'"
    ):
        stsr.tl.predict(other, model, progress=False)


def test_genes_outside_a_panel_are_predicted_from_the_image(sdata, caplog):
    model = fit(sdata, "ridge")
    genes = list(model.genes)
    panel = stsr.datasets.synthetic_section(size=(600, 600), n_genes=12, seed=1)
    whole = stsr.datasets.synthetic_section(size=(600, 600), n_genes=12, seed=1)
    panel.tables["table"] = panel["table"][:, genes[:5]].copy()
    with caplog.at_level("INFO", logger="stsr"):
        stsr.tl.predict(panel, model, progress=False)
    assert any("lacks" in line and "its spots are not used" in line for line in caplog.messages)
    stsr.tl.predict(whole, model, progress=False)
    np.testing.assert_array_equal(panel["sr_008um"].X, whole["sr_008um"].X)


@pytest.fixture(scope="module")
def pair():
    """Two sections in memory that share nine of their genes; the second has twice the depth."""
    first, second = (
        stsr.datasets.synthetic_section(size=(600, 600), n_genes=10, depth=depth, seed=seed, dataset_id=name)
        for name, depth, seed in (("first", 1000, 1), ("second", 2000, 2))
    )
    second["table"].var_names = [*second["table"].var_names[:-1], "OTHER"]
    for section in (first, second):
        stsr.pp.extract_features(section, progress=False)
    return first, second


def test_one_model_of_two_sections_has_a_table_in_each(pair):
    first, second = pair
    model = fit([first, second], "ridge", genes=7, key_added="joint")
    shared = set(first["table"].var_names) & set(second["table"].var_names)
    assert len(model.genes) == 7
    assert set(model.genes) <= shared
    for section in pair:
        assert list(section["joint"].var_names) == list(model.genes)
        assert section["joint"].n_obs == labels_to_grid(section, "grid_008um").n_cells
    # On the common scale, so that the deeper section does not look richer.
    depth = [section["joint"].X.mean() for section in pair]
    assert 0.6 < depth[0] / depth[1] < 1.6
    assert set(fit([first, second], "idw", key_added="all").genes) == shared


def test_sections_that_do_not_go_together_are_named(pair, monkeypatch):
    first, second = pair
    with pytest.raises(ValueError, match="genes='OTHER' not found in section 'first'; name genes that all"):
        fit([first, second], genes=["OTHER"])
    (last,) = set(first["table"].var_names) - set(second["table"].var_names)
    with pytest.raises(ValueError, match=f"genes='{last}' not found in section 'second'; name genes that all"):
        fit([first, second], genes=[last])
    with pytest.raises(ValueError, match="sdata lists 2 sections, some more than once"):
        fit([first, first])
    with pytest.raises(ValueError, match="sdata lists 0 sections"):
        fit([])
    names = list(second["table"].var_names)
    monkeypatch.setattr(second["table"], "var_names", [f"ENSG{n}" for n in range(10)])
    with pytest.raises(ValueError, match="section 'second' shares no gene with those before it"):
        fit([first, second])
    second["table"].var_names = names


def test_sections_of_different_cells_or_encoders_are_refused(pair):
    first, second = pair
    stsr.pp.make_grid(first, bin_size=16, key_added="mine", overwrite=True)
    stsr.pp.make_grid(second, bin_size=20, key_added="mine", overwrite=True)
    with pytest.raises(ValueError, match="section 2 has cells of 20 µm, the first of 16 µm"):
        fit([first, second], grid="mine", key_added="x")
    for section, weights in ((first, "first"), (second, "second")):
        values = np.ones((*section["mine"].shape, 3))
        stsr.pp.add_features(section, values, name="own", grid="mine", identity=weights, key_added="features")
    with pytest.raises(
        ValueError, match="of section 'second' were made by encoder 'own', your own .* those of 'first' by 'own'"
    ):
        fit([first, second], "ridge", grid="mine", features="features", key_added="x")


def test_every_table_is_checked_before_any_work(pair, monkeypatch):
    first, second = pair
    fit(second, key_added="taken")
    monkeypatch.setattr(METHODS["idw"], "fit", lambda *args, **kwargs: pytest.fail("worked"))
    with pytest.raises(ValueError, match="overwrite=True"):
        fit([first, second], key_added="taken")


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 40))
def test_runs_are_whole_chunks_and_lose_nothing(sizes, chunk):
    bounds = np.cumsum([0, *sizes])
    bands = [np.arange(a, b, dtype=np.float32)[:, None] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    runs = list(in_runs((Prediction(band, latent=-band) for band in bands), ["mean", "latent"], chunk))
    assert all(len(run["mean"]) % chunk == 0 for run in runs[:-1])
    values = np.concatenate([run["mean"] for run in runs]) if runs else np.zeros((0, 1))
    np.testing.assert_array_equal(values[:, 0], np.arange(bounds[-1]))
    assert all((run["latent"] == -run["mean"]).all() for run in runs)
