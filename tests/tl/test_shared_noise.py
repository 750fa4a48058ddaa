"""Evaluation says when the spots counted the truth's own molecules, and is silent when they did not."""

from __future__ import annotations

import importlib
import logging

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from toys.result import add_grid, add_result

import stsr
from stsr.geometry import Disc
from stsr.metrics import thin
from stsr.spatial import labels_to_grid
from stsr.spatial.bins import bin_grid
from stsr.tl._shared_noise import warn_of_shared_molecules

WARNING = "The spots counted molecules of the truth itself"


@pytest.fixture(scope="module")
def fine():
    """A section of about a hundred spots, which are sums of its truth."""
    section = stsr.datasets.synthetic_section(size=(1200, 1200), n_genes=40, mpp=2.0, seed=2)
    flat(section)
    return section


@pytest.fixture(scope="module")
def split(fine, tmp_path_factory):
    """The same with spots and truth that share no molecule."""
    store = tmp_path_factory.mktemp("split") / "split.zarr"
    section = stsr.pp.simulate_spots(fine, table="truth_008um", split=0.5, store=store)
    flat(section)
    return section


def flat(section):
    """Add a result, whatever it is."""
    grid, genes = add_grid(section, labels_to_grid(section, "truth_grid_008um")), section["truth_008um"].var_names
    values = np.random.default_rng(0).random((grid.n_cells, len(genes)), dtype=np.float32)
    add_result(section, values, genes)


def warnings(caplog, section, truth):
    """What an evaluation says of molecules that are shared."""
    caplog.clear()
    caplog.set_level(logging.INFO, "stsr")
    stsr.tl.evaluate(section, truth=truth, scales=(32,), metrics=["pearson"], ceiling=False)
    return [record.getMessage() for record in caplog.records if record.name == "stsr.tl._shared_noise"]


def test_spots_that_are_sums_of_the_truth_are_warned_about_once(fine, caplog):
    (told,) = warnings(caplog, fine, fine["truth_008um"])
    assert told.startswith(f"{WARNING} (squared differences are 0.00 of those of independent counts, median of ")
    assert "copying the noise of the spots raises a method's scores" in told
    assert told.endswith("share no molecule with stsr.pp.simulate_spots(split=0.5).")


def test_spots_and_truth_that_share_no_molecule_are_not(split, caplog):
    assert warnings(caplog, split, split["truth_008um"]) == []


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_spots_that_counted_a_share_of_them_are(fine, caplog, monkeypatch, share):
    table = fine["table"].copy()
    table.X = thin(table.X, share=share)[0]
    monkeypatch.setitem(fine.tables, "table", table)
    (told,) = warnings(caplog, fine, fine["truth_008um"])
    found = float(told.partition("differences are ")[2].partition(" ")[0])
    assert found == pytest.approx((1 - share) / (1 + share), abs=0.05)


def test_another_platform_on_the_serial_section_is_not(fine, caplog):
    """As true spots and the cells next to them: other molecules, genes caught otherwise, tissue somewhat displaced."""
    truth, rng = fine["truth_008um"].copy(), np.random.default_rng(0)
    deeper = truth.X.toarray() * rng.lognormal(0, 1, truth.n_vars)
    truth.X = sp.csr_matrix(rng.poisson(np.roll(deeper, 2, axis=0)).astype(np.float32))
    assert warnings(caplog, fine, truth) == []


def test_neither_order_nor_a_part_of_the_truth_matters(fine, caplog):
    """Spots that lie on the truth in part differ from it, and are left out; so are genes of one table."""
    truth = fine["truth_008um"]
    rowcol = truth.obs[["array_row", "array_col"]].to_numpy()
    part = truth[rowcol[:, 0] > rowcol[:, 0].max() // 4][::-1, truth.var_names[:3:-1]].copy()
    (told,) = warnings(caplog, fine, part)
    assert "squared differences are 0.00 of" in told


def test_genes_that_two_columns_carry_are_left_out(fine, caplog, monkeypatch):
    table = fine["table"].copy()
    table.var_names = [*table.var_names[:1], *table.var_names[:1], *table.var_names[2:]]
    monkeypatch.setitem(fine.tables, "table", table)
    (told,) = warnings(caplog, fine, fine["truth_008um"])
    assert told.startswith(WARNING)


def test_spots_without_raw_counts_are_no_error(fine, caplog, monkeypatch):
    table = fine["table"].copy()
    sc.pp.normalize_total(table)
    monkeypatch.setitem(fine.tables, "table", table)
    (told,) = warnings(caplog, fine, fine["truth_008um"])
    assert told.startswith("The spots' table holds no raw counts")


def test_nothing_is_said_of_so_few_counts_that_nothing_can_be(fine, caplog):
    truth = fine["truth_008um"]
    few = [gene for gene in truth.var_names if truth[:, gene].X.sum() > 0][:1]
    corner = (truth.obsm["spatial"].max(axis=1) < 200).ravel()
    assert warnings(caplog, fine, truth[corner][:, few].copy()) == []


def test_of_many_spots_some_are_looked_at(fine, caplog, monkeypatch):
    seen = []
    module = importlib.import_module("stsr.tl._shared_noise")
    real = module.noise_ratio
    monkeypatch.setattr(module, "MAX_SPOTS", 60)
    monkeypatch.setattr(module, "noise_ratio", lambda spots, sums: seen.append(spots.shape) or real(spots, sums))
    (told,) = warnings(caplog, fine, fine["truth_008um"])
    assert "squared differences are 0.00 of" in told
    assert seen[0][0] <= 60 < fine["table"].n_obs


@pytest.mark.parametrize(("spots", "genes"), [(15, 2000), (25, 300), (60, 40), (400, 1), (400, 200)])
@pytest.mark.parametrize("mean", [0.02, 1.0, 30.0])
@pytest.mark.parametrize("depth", [0.1, 5.0])
def test_independent_counts_of_any_number_are_silent(caplog, spots, genes, mean, depth):
    rng = np.random.default_rng(spots)
    rate = mean * rng.gamma(1.0, 1.0, (spots, genes))
    told = compare(caplog, rng.poisson(depth * rate), rng.poisson(rate))
    assert told == []


def compare(caplog, spots, sums):
    """What is said of spots that cover a bin of 50 µm each."""
    names = [f"G{gene}" for gene in range(spots.shape[1])]
    side = int(np.ceil(np.sqrt(len(spots))))
    rowcol = np.array(np.divmod(np.arange(side**2), side)).T
    counts = np.zeros((side**2, len(names)))
    counts[: len(sums)] = sums
    truth = AnnData(counts, obs=pd.DataFrame(rowcol, columns=["array_row", "array_col"]).rename(str))
    truth.obsm["spatial"] = rowcol[:, ::-1] * 50.0
    bins, position = bin_grid(truth, 1.0, name="truth")
    warn_of_shared_molecules(
        AnnData(sp.csr_matrix(spots.astype(np.float32)), var=pd.DataFrame(index=names)),
        truth.obsm["spatial"][: len(spots)],
        Disc(48.0),
        counts=sp.csc_array(counts),
        genes=names,
        bins=bins,
        position=position,
    )
    return [record.getMessage() for record in caplog.records]


def test_the_toy_of_independent_counts_warns_of_shared_ones(caplog):
    sums = np.random.default_rng(0).poisson(1.0, (400, 40))
    assert len(compare(caplog, sums, sums)) == 1
