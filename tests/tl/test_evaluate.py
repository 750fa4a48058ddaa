"""Scores of results whose quality is known."""

from __future__ import annotations

import logging

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from scipy import stats
from scipy.spatial import cKDTree
from toys.result import add_grid, add_result

import stsr
from stsr import metrics
from stsr.geometry import Disc, Grid, nearest_pitch
from stsr.geometry.spots import catch
from stsr.metrics.by_name import METRICS, STANDARD
from stsr.spatial import labels_to_grid, record
from stsr.spatial.bins import bin_grid
from stsr.spatial.totals import set_totals
from stsr.tl import _reading, evaluate
from stsr.tl._shared_noise import warn_of_shared_molecules

COLUMNS = ["gene", "scale_um", "where", *STANDARD, "ceiling"]


@pytest.fixture(scope="module")
def section():
    return stsr.datasets.synthetic_section(size=(640, 640), n_genes=6, depth=3000)


@pytest.fixture(scope="module")
def truth(section):
    return section["truth_008um"]


@pytest.fixture
def sdata(section):
    """The section with the grid of the truth and no results."""
    for name in [name for name in section.tables if name.startswith("sr_")]:
        del section.tables[name]
    add_grid(section, labels_to_grid(section, "truth_grid_008um"))
    return section


def noisy(truth, seed=0):
    return (truth.X.toarray() + np.random.default_rng(seed).gamma(1, 1, truth.shape)).astype(np.float32)


def joined_bins(truth, times):
    """The truth in bins ``times`` as wide."""
    rowcol = truth.obs[["array_row", "array_col"]].to_numpy()
    operator, blocks = metrics.block_operator(rowcol, times)
    bins = ad.AnnData(sp.csr_matrix(operator @ truth.X), var=truth.var.copy())
    bins.obs[["array_row", "array_col"]] = blocks
    bins.obsm["spatial"] = operator @ truth.obsm["spatial"] / operator.sum(axis=1)[:, None]
    return bins[np.asarray(operator.sum(axis=1)).ravel() == times**2].copy()


def at(scores, gene, scale, where="all"):
    chosen = (scores["gene"] == gene) & (scores["scale_um"] == scale) & (scores["where"] == where)
    return scores[chosen].squeeze()


def test_the_truth_itself_is_perfect_at_every_scale(sdata, truth):
    add_result(sdata, truth.X.toarray(), truth.var_names)
    scores = evaluate(sdata, truth=truth)
    assert list(scores.columns) == COLUMNS
    assert scores["gene"].unique().tolist() == truth.var_names.tolist()
    everywhere = scores[scores["where"] == "all"]
    assert everywhere["scale_um"].tolist() == [8.0, 16.0, 32.0, 56.0] * truth.n_vars
    np.testing.assert_allclose(scores[["pearson", "spearman"]], 1, atol=1e-6)
    np.testing.assert_allclose(everywhere["ssim"], 1, atol=1e-6)
    np.testing.assert_allclose(scores["rmse"], 0, atol=1e-6)
    assert (scores["deviance"] < 1e-3).all()
    assert scores["ceiling"].between(0, 1).all()


def test_scores_are_those_of_plain_arrays(sdata, truth):
    prediction = noisy(truth)
    add_result(sdata, prediction, truth.var_names)
    scores = evaluate(sdata, truth=truth, scales=(8, 16))
    gene, column = truth.var_names[3], 3
    counts, expected = truth.X[:, [column]].toarray(), prediction[:, [column]]

    raw = at(scores, gene, 8)
    assert raw["pearson"] == pytest.approx(stats.pearsonr(counts[:, 0], expected[:, 0]).statistic, abs=1e-5)
    rowcol = truth.obs[["array_row", "array_col"]].to_numpy()
    operator, blocks = metrics.block_operator(rowcol, 2)
    counts, expected = operator @ counts, operator @ expected
    pooled = at(scores, gene, 16)
    assert pooled["pearson"] == pytest.approx(metrics.pearson(counts, expected)[0], abs=1e-5)
    assert pooled["spearman"] == pytest.approx(metrics.spearman(counts, expected)[0], abs=1e-5)
    assert pooled["rmse"] == pytest.approx(metrics.rmse(counts, expected)[0], abs=1e-5)
    assert pooled["ssim"] == pytest.approx(metrics.ssim(counts, expected, blocks)[0], abs=1e-5)
    assert pooled["deviance"] == pytest.approx(metrics.deviance(counts, expected)[0], rel=1e-5)


def test_under_and_between_part_the_bins_by_the_nearest_spot(sdata, truth):
    facts, bins = record(sdata), labels_to_grid(sdata, "grid_008um")
    distance, _ = cKDTree(sdata["table"].obsm["spatial"] * facts.mpp).query(bins.xy)
    under = distance <= 27.5
    prediction = np.where(under[:, None], truth.X.toarray(), noisy(truth)).astype(np.float32)
    add_result(sdata, prediction, truth.var_names)
    scores = evaluate(sdata, truth=truth)
    gene = truth.var_names[0]
    assert at(scores, gene, 8, "under")["pearson"] == pytest.approx(1)
    expected = stats.pearsonr(truth.X[:, 0].toarray()[~under].ravel(), prediction[~under, 0]).statistic
    assert at(scores, gene, 8, "between")["pearson"] == pytest.approx(expected, abs=1e-5)
    assert set(scores.loc[scores["where"] != "all", "scale_um"]) == {8.0, 16.0}
    assert scores.loc[scores["where"] != "all", "ssim"].isna().all()


def test_neither_order_nor_storage_of_the_tables_matters(sdata, truth):
    prediction = noisy(truth)
    add_result(sdata, prediction, truth.var_names)
    expected = evaluate(sdata, truth=truth, scales=(8, 56))

    order = np.random.default_rng(1).permutation(truth.n_obs)
    shuffled = truth[order, truth.var_names[::-1]].copy()
    shuffled.X = shuffled.X.toarray()
    again = evaluate(sdata, truth=shuffled, scales=(8, 56))
    scores = COLUMNS[3:-1]
    np.testing.assert_allclose(again[scores], expected[scores], rtol=1e-4)
    # The split of the counts is drawn in another order.
    np.testing.assert_allclose(again["ceiling"], expected["ceiling"], atol=0.15)

    sdata["sr_008um"].X = da.from_array(prediction, chunks=(1000, 2))
    pd.testing.assert_frame_equal(evaluate(sdata, truth=truth, scales=(8, 56)), expected)
    sdata["sr_008um"].X = sp.csr_matrix(prediction)
    pd.testing.assert_frame_equal(evaluate(sdata, truth=truth, scales=(8, 56)), expected)


def test_batches_of_genes_do_not_show(sdata, truth, monkeypatch):
    add_result(sdata, noisy(truth), truth.var_names)
    expected = evaluate(sdata, truth=truth, scales=(16,))
    monkeypatch.setattr(_reading, "BATCH_VALUES", 2 * truth.n_obs)
    pd.testing.assert_frame_equal(evaluate(sdata, truth=truth, scales=(16,)), expected)


@pytest.mark.parametrize(("size", "angle"), [(8.0, 0.3), (16.0, 0.0), (5.0, -1.2)])
def test_a_prediction_on_another_grid_is_moved_by_area(sdata, truth, size, angle, caplog):
    """A density that falls evenly keeps its correlation and its scale, whatever the grid it is told on."""
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    half = int(600 / size)
    affine = np.array([[cos, -sin, 320 - (cos - sin) * half], [sin, cos, 320 - (sin + cos) * half], [0, 0, 1]])
    whole = Grid(affine, np.ones((2 * half, 2 * half), dtype=bool))
    inside = ((whole.xy > -10) & (whole.xy < (650, 320))).all(axis=1).reshape(whole.shape)
    grid = add_grid(sdata, Grid(affine, inside).cropped(), "grid_other")

    def density(xy):  # UMI per 64 µm²
        return 20 - xy[:, [0]] / 64 + xy[:, [1]] / 100

    bins = labels_to_grid(sdata, "truth_grid_008um")
    expected = np.random.default_rng(0).poisson(density(bins.xy)).astype(np.float32)
    flat = truth[:, :1].copy()
    flat.X = sp.csr_matrix(expected)
    add_result(sdata, (density(grid.xy) * size**2 / 64).astype(np.float32), flat.var_names, grid="grid_other")

    with caplog.at_level(logging.INFO, "stsr"):
        scores = evaluate(sdata, truth=flat, scales=(8, 32))
    left_out = int(caplog.text.split(" of ")[0].split()[-1])
    assert left_out == pytest.approx((bins.xy[:, 1] > 320).sum(), rel=0.2)
    covered = bins.xy[:, 1] < 310
    ideal = stats.pearsonr(expected[covered, 0], density(bins.xy[covered])[:, 0]).statistic
    gene = flat.var_names[0]
    assert at(scores, gene, 8)["pearson"] == pytest.approx(ideal, abs=0.02)
    # The deviance of Poisson counts from their expectation is about 1, at every scale: the area is accounted for.
    assert at(scores, gene, 8)["deviance"] == pytest.approx(1, abs=0.15)
    assert at(scores, gene, 32)["deviance"] == pytest.approx(1, abs=0.3)


def test_genes_without_a_score_are_nan_and_counted(sdata, truth, caplog):
    prediction = noisy(truth)
    prediction[:, 2] = 1
    add_result(sdata, prediction, truth.var_names)
    scores = evaluate(sdata, truth=truth, scales=(8,), ceiling=False)
    lost = scores["gene"] == truth.var_names[2]
    assert scores.loc[lost, ["pearson", "spearman", "rmse", "ssim"]].isna().all(axis=None)
    assert scores.loc[~lost, "pearson"].notna().all()
    assert scores["ceiling"].isna().all()
    assert (
        f"1 genes have no correlation at 8 µm, their truth or prediction is constant: {truth.var_names[2]}"
        in caplog.text
    )


def test_only_shared_genes_are_scored(sdata, truth, caplog):
    add_result(sdata, noisy(truth), ["other", *truth.var_names[1:]])
    scores = evaluate(sdata, truth=truth, scales=(56,))
    assert scores["gene"].unique().tolist() == truth.var_names[1:].tolist()
    assert "1 of 6 genes of sr_008um are not in the truth" in caplog.text


def without(truth, what):
    truth = truth.copy()
    if what in truth.obs:
        del truth.obs[what]
    elif what in truth.obsm:
        del truth.obsm[what]
    elif what == "genes":
        truth.var_names = [f"ENSG{n}" for n in range(truth.n_vars)]
    elif what == "counts":
        truth.X = truth.X * 0.5
    elif what == "place":
        truth.obsm["spatial"] = truth.obsm["spatial"] + 1e5
    elif what == "lattice":
        truth.obsm["spatial"] = np.random.default_rng(0).permutation(truth.obsm["spatial"])
    return truth


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("array_row", r"truth lacks obs\['array_row'\]"),
        ("spatial", r"truth lacks obsm\['spatial'\]"),
        ("genes", "truth shares no gene with table='sr_008um'"),
        ("counts", "'truth' holds non-integer values"),
        ("place", "truth lies beside the table's grid"),
        ("lattice", "truth does not lie on a grid of squares: "),
    ],
)
def test_an_unfit_truth_is_refused(sdata, truth, what, message):
    add_result(sdata, noisy(truth), truth.var_names)
    with pytest.raises(ValueError, match=message):
        evaluate(sdata, truth=without(truth, what))


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (12, "scales=12 µm is no whole multiple of the truth's bin of 8 µm"),
        (4, "scales=4 µm is no whole"),
        (640, "scales=640 leaves"),
    ],
)
def test_unfit_scales_are_refused(sdata, truth, scale, message):
    add_result(sdata, noisy(truth), truth.var_names)
    with pytest.raises(ValueError, match=message):
        evaluate(sdata, truth=truth, scales=(8, scale))


def test_any_metric_can_be_asked_for(sdata, truth):
    prediction = noisy(truth)
    add_result(sdata, prediction, truth.var_names)
    scores = evaluate(sdata, truth=truth, scales=(8,), metrics=[*METRICS, "ssim"], ceiling=False)
    gene, counts, expected = truth.var_names[1], truth.X[:, [1]].toarray(), prediction[:, [1]]
    for name in METRICS:
        assert at(scores, gene, 8)[name] == pytest.approx(getattr(metrics, name)(counts, expected)[0], rel=1e-4), name
    assert list(evaluate(sdata, truth=truth, scales=(8,), metrics=["mae"]).columns[3:]) == ["mae", "ceiling"]
    with pytest.raises(ValueError, match="metrics='accuracy' is not known; choose any of pearson, "):
        evaluate(sdata, truth=truth, metrics=["accuracy"])


def test_the_table_must_be_a_result(sdata, truth):
    with pytest.raises(KeyError, match="table='sr_008um' not found"):
        evaluate(sdata, truth=truth)


@pytest.fixture(scope="module")
def kidney(data_dir):
    """The Visium HD truth, its spots, and the 300 genes of every comparison."""
    folder = data_dir / "kidney"
    genes = (folder / "genes_300.txt").read_text().split()
    hd, visium = folder / "visium_hd" / "binned_outputs" / "square_008um", folder / "visium"
    truth, spots = (sc.read_10x_h5(where / "filtered_feature_bc_matrix.h5")[:, genes].copy() for where in (hd, visium))
    for table, positions in (
        (truth, pd.read_parquet(hd / "spatial" / "tissue_positions.parquet")),
        (spots, pd.read_csv(visium / "spatial" / "tissue_positions.csv")),
    ):
        positions = positions.set_index("barcode").loc[table.obs_names]
        table.obs[["array_row", "array_col"]] = positions[["array_row", "array_col"]].to_numpy()
        table.obsm["spatial"] = positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy()
    return truth, spots


@pytest.mark.parametrize(("factor", "ceiling", "nearest"), [(2, 0.494, 0.269), (4, 0.660, 0.435), (7, 0.770, 0.587)])
def test_reference_numbers_of_the_kidney(kidney, factor, ceiling, nearest):
    truth, spots = kidney
    operator, _ = metrics.block_operator(truth.obs[["array_row", "array_col"]].to_numpy(), factor)
    counts = sp.csr_array(truth.X)
    halves = [(operator @ half).toarray() for half in metrics.thin(counts)]
    assert metrics.noise_ceiling(*halves).mean() == pytest.approx(ceiling, abs=0.002)
    home = cKDTree(spots.obsm["spatial"]).query(truth.obsm["spatial"])[1]
    prediction = operator @ sp.csr_array(spots.X)[home]
    assert metrics.pearson(sum(halves), prediction.toarray()).mean() == pytest.approx(nearest, abs=0.002)


@pytest.mark.parametrize("share", [None, 0.5])
def test_the_spots_of_the_kidney_counted_its_truth_unless_it_is_split(kidney, share, caplog):
    truth, spots = kidney
    mpp = 100 / nearest_pitch(spots.obsm["spatial"])
    bins, position = bin_grid(truth, mpp, name="truth")
    centres, counts = spots.obsm["spatial"] * mpp, sp.csr_array(truth.X)
    if share is not None:
        offered, counts = metrics.thin(counts, share=share)
        caught = catch(offered, bins.xy[position], centres, 55.0, rng=np.random.default_rng(0))
        spots = ad.AnnData(sp.csr_matrix(caught), var=truth.var)
    warn_of_shared_molecules(
        spots,
        centres,
        Disc(55.0),
        counts=sp.csc_array(counts),
        genes=list(truth.var_names),
        bins=bins,
        position=position,
    )
    told = [record.getMessage() for record in caplog.records]
    assert ["differences are 0.00 of" in message for message in told] == ([True] if share is None else [])


def test_usual_scales_are_those_that_the_bins_make(sdata, truth):
    add_result(sdata, noisy(truth), truth.var_names)
    for times, scales in ((2, [16, 32]), (3, [24, 48, 96])):
        told = evaluate(sdata, truth=joined_bins(truth, times), metrics=["pearson"], ceiling=False)
        assert told["scale_um"].unique().tolist() == scales


def test_usual_scales_without_enough_blocks_are_left_out(sdata, truth, caplog):
    add_result(sdata, noisy(truth), truth.var_names)
    rowcol = truth.obs[["array_row", "array_col"]]
    near = ((rowcol - rowcol.median()).abs().max(axis=1) <= 6).to_numpy()
    with caplog.at_level("INFO", "stsr"):
        scores = evaluate(sdata, truth=truth[near], ceiling=False)
    assert "Scales that are not scored, since the truth has too few such blocks: 56 µm" in caplog.text
    assert set(scores["scale_um"]) == {8.0, 16.0, 32.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": []}, r"metrics=\[\] is no list of scores; pass a list with any of pearson"),
        ({"metrics": "pearson"}, "metrics='pearson' is no list of scores"),
        ({"metrics": None}, "metrics=None is no list of scores"),
        ({"metrics": ["mae", "mae"]}, "names a score twice"),
        ({"scales": []}, r"scales=\[\] is not allowed; pass a list of 1 to 64 items"),
        ({"scales": [np.inf]}, r"scales=\[inf\] is not allowed"),
        ({"scales": [np.nan]}, r"scales=\[nan\] is not allowed"),
        ({"scales": [0]}, r"scales=\[0\] is not allowed"),
        ({"scales": [-8]}, r"scales=\[-8\] is not allowed"),
        ({"scales": 8}, "scales=8 is not allowed"),
        ({"scales": "8"}, "scales='8' is not allowed"),
        ({"scales": [8, 8.0]}, "names a scale twice"),
        ({"scales": [True]}, "is not allowed"),
        ({"seed": -1}, "seed=-1 is not allowed"),
        ({"seed": 0.5}, "seed=0.5 is not allowed"),
        ({"ceiling": "yes"}, "ceiling='yes' is not allowed; pass True or False"),
    ],
)
def test_options_are_checked(sdata, truth, options, message):
    add_result(sdata, noisy(truth), truth.var_names)
    with pytest.raises(ValueError, match=message):
        evaluate(sdata, truth=truth, **options)


def test_what_is_no_truth_or_no_section(sdata, truth):
    add_result(sdata, noisy(truth), truth.var_names)
    with pytest.raises(
        ValueError, match=r"truth is of type str, not a table; pass an AnnData such as sdata\['table'\]"
    ):
        evaluate(sdata, truth="truth_008um")
    with pytest.raises(ValueError, match="sdata is of type AnnData, not a SpatialData object"):
        evaluate(truth, truth=truth)


def test_a_result_that_is_logged_is_refused_and_its_counts_are_found(sdata, truth):
    add_result(sdata, noisy(truth), truth.var_names)
    expected = evaluate(sdata, truth=truth, scales=(8,))
    table = sdata["sr_008um"]
    set_totals(table)
    table.layers["counts"] = table.X.copy()
    sc.pp.normalize_total(table)
    with pytest.raises(ValueError, match="table='sr_008um' does not hold counts in X any more.*pass layer='counts'"):
        evaluate(sdata, truth=truth, scales=(8,))
    pd.testing.assert_frame_equal(evaluate(sdata, truth=truth, scales=(8,), layer="counts"), expected)
    with pytest.raises(KeyError, match="layer='x' not found in 'sr_008um'; it has counts"):
        evaluate(sdata, truth=truth, layer="x")
