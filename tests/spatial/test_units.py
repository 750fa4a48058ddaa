"""Counts are told from what was made of them in place."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from stsr.spatial.totals import Tally, set_totals
from stsr.spatial.units import check_counts, state

KINDS = {
    "dense": np.asarray,
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "dask": lambda x: da.from_array(x, chunks=(50, 7)),
}


def result(kind="dense", *, cells=200, genes=20, totals=True, seed=0):
    values = np.random.default_rng(seed).gamma(0.5, 2, (cells, genes)).astype(np.float32)
    values[:, 3] = 0
    values[90:95] = 0
    table = AnnData(KINDS[kind](values), var=pd.DataFrame(index=[f"G{n}" for n in range(genes)]))
    table.obs_names = table.obs_names.astype(str)
    table.uns["stsr"] = {"method": "toy"}
    if totals:
        set_totals(table)
    return table


def normalised(table):
    sc.pp.normalize_total(table, target_sum=1e4)


def to_the_median(table):
    sc.pp.normalize_total(table)


def logged(table):
    sc.pp.log1p(table)


def logged_without_a_note(table):
    sc.pp.log1p(table)
    del table.uns["log1p"]


def both(table):
    normalised(table)
    logged(table)


def scaled(table):
    sc.pp.scale(table)


def square_root(table):
    table.X = np.sqrt(table.X)


def not_a_number(table):
    table.X[100, 0] = np.nan


CHANGES = [normalised, to_the_median, logged, logged_without_a_note, both, scaled, square_root, not_a_number]
PARTS = {
    "all": lambda t: t.copy(),
    "rows": lambda t: t[10:150].copy(),
    "genes": lambda t: t[:, ["G7", "G1", "G2", "G12"]].copy(),
    "reordered": lambda t: t[::-1].copy(),
    "shuffled genes": lambda t: t[:, np.random.default_rng(0).permutation(t.n_vars)].copy(),
    "rows and genes": lambda t: t[30:180, 4:].copy(),
    "one gene": lambda t: t[:, ["G5"]].copy(),
    "one row": lambda t: t[[5]].copy(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", PARTS)
def test_parts_of_a_table_are_counts(part, kind):
    assert state(PARTS[part](result(kind))) == "counts"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("part", ["all", "rows", "genes", "reordered", "shuffled genes", "one gene", "one row"])
def test_changes_are_noticed(part, change):
    table = PARTS[part](result())
    if part == "one row" and change in (scaled, to_the_median, not_a_number):
        pytest.skip("changes nothing there, or is not there")
    change(table)
    assert state(table) == "changed"


@pytest.mark.parametrize("change", [normalised, logged, both, scaled])
def test_changes_are_noticed_where_both_rows_and_genes_are_missing(change):
    table = PARTS["rows and genes"](result())
    change(table)
    assert state(table) == "changed"


@pytest.mark.parametrize("part", ["all", "rows", "genes"])
def test_a_change_before_a_part_is_taken_is_noticed(part):
    table = result()
    both(table)
    assert state(PARTS[part](table)) == "changed"


@pytest.mark.parametrize("kind", ["csr", "csc", "dask"])
def test_changes_of_other_kinds_of_matrices(kind):
    table = result(kind)
    sc.pp.log1p(table)
    assert state(table) == "changed"


def test_what_leaves_counts_counts():
    for change in (
        lambda t: t.obs.__setitem__("a", 1),
        lambda t: sc.pp.calculate_qc_metrics(t, percent_top=None, inplace=True),
        lambda t: setattr(t, "X", sp.csr_matrix(np.where(t.X > 1e-3, t.X, 0))),
        lambda t: setattr(t, "X", t.X.astype(np.float16).astype(np.float64)),
        lambda t: sc.pp.log1p(t, layer="copy"),
    ):
        table = result()
        table.layers["copy"] = table.X.copy()
        change(table)
        assert state(table) == "counts"


def test_counts_put_back_are_counts_again():
    table = result()
    table.layers["counts"] = table.X.copy()
    both(table)
    with pytest.raises(ValueError, match="table='sr' does not hold counts in X any more.*pass layer='counts'"):
        check_counts(table, "sr")
    assert check_counts(table, "sr", layer="counts") == "counts"
    table.X = table.layers["counts"]
    assert "log1p" in table.uns
    assert check_counts(table, "sr") == "counts"


def test_refusals_say_what_helps():
    table = result()
    table.layers["sd"] = table.X / 2
    logged(table)
    with pytest.raises(ValueError, match="make the table again with overwrite=True, and normalise a copy"):
        check_counts(table, "sr")
    with pytest.raises(ValueError, match="does not hold counts in layer 'sd'"):
        check_counts(table, "sr", layer="sd")
    with pytest.raises(KeyError, match="layer='raw' not found in 'sr'; it has sd"):
        check_counts(table, "sr", layer="raw")


def test_tables_that_carry_no_sums():
    assert state(result(totals=False)) == "counts"
    old = result(totals=False)
    logged(old)
    assert state(old) == "changed"
    measured = AnnData(np.random.default_rng(0).poisson(1, (80, 4)).astype(np.float32))
    assert state(measured) == "counts"
    other = AnnData(measured.X + np.float32(0.25))
    assert state(other) == "unknown"
    sc.pp.normalize_total(measured)
    assert state(measured) == "unknown"
    sc.pp.log1p(measured)
    assert state(measured) == "changed"
    assert state(AnnData(np.zeros((0, 4), dtype=np.float32))) == "unknown"


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 9), st.booleans())
def test_sums_do_not_depend_on_the_order_of_writing(cells, genes, step, by_rows):
    values = np.random.default_rng(0).random((cells, genes)).astype(np.float32)
    target = np.zeros_like(values)
    tally = Tally(target)
    for start in range(0, cells if by_rows else genes, step):
        part = (slice(start, start + step), slice(None)) if by_rows else (slice(None), slice(start, start + step))
        tally[part] = values[part]
    np.testing.assert_array_equal(target, values)
    np.testing.assert_allclose(tally.rows, values.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(tally.columns, values.sum(axis=0), rtol=1e-5)


def test_a_layer_of_counts_holds_counts_although_x_was_logged():
    table = PARTS["rows and genes"](result())
    table.layers["counts"] = table.X.copy()
    both(table)
    assert check_counts(table, "sr", layer="counts") == "counts"
