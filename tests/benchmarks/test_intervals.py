"""benchmarks/intervals.py: coverage of the counts of hidden spots, where what to expect is known."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import nbinom
from toys.bench import TINY, load_script
from toys.breast import write_breast
from toys.result import add_grid, add_result

import stsr
from stsr.bench.files import GRID, RESULT
from stsr.bench.sources.spots_and_cells import SPOT_COUNTS
from stsr.constants import SD
from stsr.geometry import Disc, footprint
from stsr.spatial import labels_to_grid

intervals = load_script("intervals")
MEANS = np.array([0.02, 0.1, 0.5, 1.0, 2.0, 4.0])
"""Expected counts of a cell."""


@pytest.fixture(scope="module")
def section():
    """A section with a prediction, and the table of its spots with counts that are drawn from just that."""
    sdata = stsr.datasets.synthetic_section(size=(1500, 1500), n_genes=len(MEANS))
    grid = add_grid(sdata, labels_to_grid(sdata, "truth_grid_008um"), GRID)
    rates = np.tile(MEANS, (grid.n_cells, 1)).astype(np.float32)
    add_result(sdata, rates, sdata["table"].var_names, grid=GRID, key=RESULT)
    sdata[RESULT].layers[SD] = np.sqrt(rates + (0.3 * rates) ** 2)
    measured = sdata["table"].copy()
    mean = footprint(grid, measured.obsm["spatial"], Disc(55.0)) @ rates  # 1 µm per pixel
    shape = 1 / 0.3**2
    measured.X = sp.csr_matrix(nbinom(shape, shape / (shape + mean)).rvs(random_state=0), dtype=np.float32)
    return sdata, measured


def test_right_predictions_cover_what_they_promise(section):
    sdata, measured = section
    sdata["table"] = measured[:3].copy()
    table = intervals.coverage_of_genes(sdata, measured)
    assert table["gene"].tolist() == list(measured.var_names)
    assert table["third"].tolist() == ["low", "low", "middle", "middle", "high", "high"]
    assert 100 < table["hidden"].iloc[0] < measured.n_obs - 3  # those at the edge are not wholly on the grid
    assert table["coverage_80"].tolist() == pytest.approx([0.8] * 6, abs=0.08)
    assert table["coverage_95"].tolist() == pytest.approx([0.95] * 6, abs=0.05)
    np.testing.assert_allclose(table["mean_count"], measured.X.toarray().mean(axis=0))


def test_spots_that_were_given_do_not_count(section):
    sdata, measured = section
    given = np.arange(measured.n_obs) % 4 > 0
    sdata["table"] = measured[given].copy()
    before = intervals.coverage_of_genes(sdata, measured)
    counts = measured.X.toarray()
    for changed, same in ((given, True), (~given, False)):
        other = measured.copy()
        other.X = sp.csr_matrix(np.where(changed[:, None], counts + 1000, counts))
        after = intervals.coverage_of_genes(sdata, other)
        assert after["coverage_80"].equals(before["coverage_80"]) == same
    assert after["coverage_95"].eq(0).all()


def test_spots_are_hidden_at_random_and_those_of_true_bins_have_half_of_their_molecules():
    sdata = stsr.datasets.synthetic_section(size=(800, 800), n_genes=5, depth=3000)
    table = sdata["table"].copy()
    # as the kidney's, sums of the very bins
    grid = labels_to_grid(sdata, "truth_grid_008um")
    truth = sdata["truth_008um"]
    inside = np.linalg.norm(table.obsm["spatial"][:, None] - truth.obsm["spatial"][None], axis=2) <= 27.5
    assert grid.n_cells == truth.n_obs
    table.X = sp.csr_matrix(inside.astype(np.float32) @ truth.X)
    kept = []
    for seed in (0, 1, 0):
        sdata.tables["table"] = table.copy()
        measured = intervals.hide(sdata, truth, seed)
        assert measured.X.sum() / table.X.sum() == pytest.approx(0.5, abs=0.03)
        assert sdata["table"].n_obs == table.n_obs - round(0.15 * table.n_obs)
        kept.append(list(sdata["table"].obs_names))
        np.testing.assert_array_equal(measured[sdata["table"].obs_names].X.toarray(), sdata["table"].X.toarray())
    assert kept[0] == kept[2] != kept[1]


def test_it_tells_every_section_seed_and_third(tmp_path, monkeypatch, capsys):
    folder, out = write_breast(tmp_path / "breast", side=700), tmp_path / "out"
    options = [word for key, value in TINY.items() for word in ("--option", f"{key}={value}")]
    monkeypatch.setattr(sys, "argv", ["intervals.py", str(folder), "--out", str(out), "--seeds", "0,1", *options])
    intervals.main()
    table = pd.read_csv(out / "intervals.csv")
    assert table.groupby(["section", "seed"]).size().to_dict() == {("breast", 0): 10, ("breast", 1): 10}
    assert table["third"].value_counts().to_dict() == {"low": 6, "middle": 6, "high": 8}
    # true spots, measured apart from the cells, keep all of their molecules
    assert table["mean_count"].sum() / 2 == pytest.approx(counts_of(folder).sum(axis=1).mean(), rel=1e-3)
    assert table[["coverage_80", "coverage_95"]].stack().between(0, 1).all()
    assert (table["coverage_95"] >= table["coverage_80"]).all()
    last = capsys.readouterr().out.strip().splitlines()[-4:]
    assert [line.split()[-5] for line in last] == ["all", "low", "middle", "high"]
    assert float(last[0].split()[-1]) == pytest.approx(table["coverage_95"].mean(), abs=1e-3)
    assert [path.name for path in out.iterdir()] == ["intervals.csv"]


def counts_of(folder):
    """(spots, genes) counts of the genes that both platforms have."""
    return sp.load_npz(folder / SPOT_COUNTS).toarray()[:, 2:]
