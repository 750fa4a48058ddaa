"""The imprint of a section's own spots on its tables."""

from __future__ import annotations

import logging

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from toys.result import add_grid, add_result
from toys.visium_hd import hd_folder

import stsr
from stsr.geometry import Disc, footprint
from stsr.metrics import lattice_imprint as imprint_of
from stsr.metrics import spot_edges
from stsr.spatial import labels_to_grid
from stsr.tl import _reading, lattice_imprint

MPP = 2.0


@pytest.fixture(scope="module")
def section():
    sdata = stsr.datasets.synthetic_section(size=(1000, 1000), n_genes=12, mpp=MPP)
    add_grid(sdata, labels_to_grid(sdata, "truth_grid_008um"))
    return sdata


@pytest.fixture
def sdata(section):
    truth = section["truth_008um"]
    add_result(section, truth.X.toarray().astype(np.float32), truth.var_names)
    return section


def printed(sdata, sd=0.5):
    """The truth times the noise of each spot, in its disc."""
    grid = labels_to_grid(sdata, "grid_008um")
    shares = footprint(grid, sdata["table"].obsm["spatial"] * MPP, Disc(55.0))
    truth = sdata["truth_008um"].X.toarray()
    noise = np.random.default_rng(0).normal(0, sd, (shares.shape[0], truth.shape[1]))
    return (truth * np.exp(shares.T @ noise)).astype(np.float32)


def test_the_truth_shows_no_spots_and_discs_do_show(sdata):
    truth = lattice_imprint(sdata)
    assert truth.columns.tolist() == ["gene", "imprint", "step", "p", "p_all"]
    assert truth["gene"].tolist() == sdata["truth_008um"].var_names.tolist()
    assert truth["imprint"].mean() == pytest.approx(1, abs=0.1)
    assert (truth["p_all"] > 0.05).all()
    add_result(sdata, printed(sdata, sd=1.0), truth["gene"])
    discs = lattice_imprint(sdata)
    assert discs["imprint"].mean() > 1.3
    assert (discs["p_all"] < 0.01).all()


def test_it_is_that_of_the_arrays(sdata):
    grid = labels_to_grid(sdata, "grid_008um")
    spots = sdata["table"].obsm["spatial"] * MPP
    edges = spot_edges(grid.xy, spots, diameter=55, pitch=100, bin_size=8, seed=4)
    expected = imprint_of(sdata["sr_008um"].X, edges)
    found = lattice_imprint(sdata, seed=4)
    for name in ("imprint", "step", "p", "p_all"):
        np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-4)


def test_batches_kinds_of_matrix_and_order_of_rows_do_not_show(sdata, monkeypatch):
    values, names = sdata["sr_008um"].X, list(sdata["sr_008um"].var_names)
    expected = lattice_imprint(sdata)
    monkeypatch.setattr(_reading, "BATCH_VALUES", 5 * len(values))
    pd.testing.assert_frame_equal(lattice_imprint(sdata), expected)
    for kind in (da.from_array(values, chunks=(1000, 5)), sp.csr_matrix(values)):
        sdata["sr_008um"].X = kind
        pd.testing.assert_frame_equal(lattice_imprint(sdata), expected)
    add_result(sdata, values, names)
    sdata.tables["sr_008um"] = sdata["sr_008um"][np.random.default_rng(0).permutation(len(values))].copy()
    shuffled = lattice_imprint(sdata)
    np.testing.assert_allclose(shuffled["imprint"], expected["imprint"], atol=0.15)  # other places are drawn
    assert (shuffled["p_all"] > 0.05).all()


def test_some_genes_and_a_layer(sdata):
    names = sdata["sr_008um"].var_names[[4, 1]].tolist()
    sdata["sr_008um"].layers["printed"] = printed(sdata, sd=1.0)
    found, discs = lattice_imprint(sdata, genes=names), lattice_imprint(sdata, genes=tuple(names), layer="printed")
    assert found["gene"].tolist() == discs["gene"].tolist() == names
    assert (discs["imprint"] > found["imprint"] + 0.5).all()
    whole = lattice_imprint(sdata).set_index("gene")
    np.testing.assert_allclose(found["imprint"], whole.loc[names, "imprint"], rtol=1e-5)


def test_of_spots_the_given_ones_count(sdata):
    """Discs of one half show in the lattice of that half, not in that of the other."""
    spots = sdata["table"].copy()
    half = np.arange(spots.n_obs) % 2 == 0
    grid = labels_to_grid(sdata, "grid_008um")
    shares = footprint(grid, spots.obsm["spatial"][half] * MPP, Disc(55.0))
    values = 1.0 + shares.T @ np.random.default_rng(0).uniform(0, 1, (half.sum(), 3))
    add_result(sdata, values.astype(np.float32), list("ABC"))
    try:
        found = []
        for given in (half, ~half):
            sdata.tables["table"] = spots[given].copy()
            found.append(lattice_imprint(sdata)["imprint"].mean())
    finally:
        sdata.tables["table"] = spots
    assert found[0] > 2
    assert found[1] < 0.5


def test_few_spots_are_nan_with_a_warning(sdata, caplog):
    spots = sdata["table"].copy()
    try:
        sdata.tables["table"] = spots[:3].copy()
        with caplog.at_level(logging.WARNING):
            found = lattice_imprint(sdata)
        assert found[["imprint", "step", "p", "p_all"]].isna().all(axis=None)
        assert "The imprint of sr_008um cannot be measured: too few spots lie on its cells" in caplog.text
        sdata.tables["table"] = spots[:1].copy()
        with pytest.raises(ValueError, match="sdata has one spot, which makes no lattice"):
            lattice_imprint(sdata)
    finally:
        sdata.tables["table"] = spots


def test_bins_for_spots_are_refused(tmp_path):
    hd_folder(tmp_path / "kidney")
    sdata = stsr.pp.read_visium_hd(tmp_path / "kidney", store=tmp_path / "a.zarr", bin_size=(16, 8))
    with pytest.raises(ValueError, match="sdata has bins of 16 µm for spots, which leave no gaps between them"):
        lattice_imprint(sdata, "square_008um")


def test_one_sentence_for_what_cannot_be(sdata):
    with pytest.raises(KeyError, match="table='sr' not found"):
        lattice_imprint(sdata, "sr")
    with pytest.raises(KeyError, match="layer='logged' not found"):
        lattice_imprint(sdata, layer="logged")
    with pytest.raises(ValueError, match="genes='NONE' not found"):
        lattice_imprint(sdata, genes=["NONE"])
    with pytest.raises(ValueError, match=r"genes=\[\] is not allowed"):
        lattice_imprint(sdata, genes=[])
    with pytest.raises(ValueError, match="seed=-1 is not allowed"):
        lattice_imprint(sdata, seed=-1)
