"""True spots and the cells of the serial section: the layout, what is true, and a bench of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from toys.bench import in_this_process
from toys.breast import MPP, write_breast

from stsr.bench.jobs import execute
from stsr.bench.protocol.plan import Entry, make_plan
from stsr.bench.run import run_bench
from stsr.bench.sources.find import find_sources
from stsr.bench.sources.spots_and_cells import BIN, CELL_COUNTS, CELLS, SpotsAndCells, window
from stsr.datasets.paths import VARIABLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_breast(tmp_path_factory.mktemp("data") / "breast")


@pytest.fixture(scope="module")
def source(folder):
    (source,) = find_sources(str(folder))
    return source


def test_the_layout_is_known_and_genes_are_those_of_both(source, folder):
    assert source == SpotsAndCells("breast", str(folder), folder)
    assert source.has_truth
    assert source.relative
    assert len(source.genes) == 10
    assert "ELSEWHERE" not in source.genes
    assert {file.name for file in source.files} >= {"he_2um.jpg", "he_2um_filled_mask.png"}


def test_every_scale_is_a_multiple_of_the_bin(source):
    assert source.scales == (16, 32, 56, 100)
    assert all(scale % BIN == 0 for scale in source.scales)


def test_bins_hold_the_cells_of_the_window_and_none_on_filled_pixels(source, folder):
    truth = source.truth(None, source.genes)
    cells = pd.read_csv(folder / CELLS, sep="\t")[["x_um", "y_um"]].to_numpy()
    low, high = window(pd.read_csv(folder / "visium_spots.tsv", sep="\t")[["x_um", "y_um"]].to_numpy(), cells)
    xy = truth.obsm["spatial"] * MPP
    assert (xy - BIN / 2 >= low - 1e-6).all()
    assert (xy + BIN / 2 <= high + 1e-6).all()
    filled = np.array([200, 210]) * MPP
    assert not ((xy[:, 0] + BIN / 2 > filled[0]) & (xy[:, 0] - BIN / 2 < filled[1])).any()
    # Cells well inside, away from the filled stripe, are all there.
    left = (
        (cells > low + 2 * BIN).all(axis=1) & (cells[:, 0] < filled[0] - 3 * BIN) & (cells < high - 2 * BIN).all(axis=1)
    )
    in_bins = (xy[:, 0] < filled[0]).nonzero()[0]
    counts = sp.load_npz(folder / CELL_COUNTS)[:, :10]
    edge = ((cells > low) & (cells < high)).all(axis=1) & (cells[:, 0] < filled[0] + 2 * BIN)
    assert counts[left].sum() <= truth.X[in_bins].sum() <= counts[edge].sum()


def test_genes_that_the_cells_lack_are_left_out(source):
    known, every = source.genes[:2], source.truth(None, source.genes)
    truth = source.truth(None, [known[0], "NOWHERE", known[1]])
    assert list(truth.var_names) == known
    np.testing.assert_array_equal(truth.X.toarray(), every[:, known].X.toarray())


def test_the_window_is_where_both_lie():
    spots = np.array([[0.0, 0], [100, 50]])
    cells = np.column_stack([np.linspace(10, 200, 1001), np.linspace(-20, 40, 1001)])
    low, high = window(spots, cells)
    np.testing.assert_allclose(low, [10.95, 0], atol=0.1)
    np.testing.assert_allclose(high, [100, 39.7], atol=0.1)


def test_a_second_image_is_refused(tmp_path):
    folder = write_breast(tmp_path / "twice", side=500)
    (folder / "he_3um.jpg").write_bytes((folder / "he_2um.jpg").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"holds 2 files he_\*um.jpg"):
        find_sources(str(folder))[0].read(tmp_path / "store.zarr")


def test_a_bench_of_it_is_told_relative_to_interpolation(source, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "spawn", in_this_process)
    plan = make_plan([source], [Entry(name, name) for name in ("nearest", "idw", "ridge")])
    run_bench(plan, tmp_path, command="stsr bench breast", tell=lambda line: None)
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert set(scores["scale_um"]) == {16, 32, 56, 100}
    assert "deviance" not in scores
    assert scores["ceiling"].isna().all()
    assert scores.groupby("scale_um")["pearson"].mean().loc[32] > 0.2
    report = (tmp_path / "report.md").read_text()
    assert "Gains are over the best of idw, kriging, linear, nearest" in report
    assert "deviance |" not in report
    assert "ceiling |" not in report
    assert "(+0%)" in report


def test_the_real_one_has_307_genes_and_whole_blocks():
    import os

    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} is not set")
    try:
        (source,) = find_sources("breast")
    except (FileNotFoundError, ValueError):
        pytest.skip(f"no breast in {VARIABLE}")
    assert len(source.genes) == 307
    truth = source.truth(None, ["EPCAM", "LUM", "PTPRC"])
    assert truth.n_obs > 200_000
    assert (np.asarray(truth.X.sum(axis=0)).ravel() > 1000).all()
