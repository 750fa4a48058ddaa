"""Genes chosen from the spots."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import stsr
from stsr.pp.select_genes import _moran, _pearson_variance


@pytest.fixture(scope="module")
def section():
    return stsr.datasets.synthetic_section(size=(1200, 1200), n_genes=60, seed=0)


@pytest.fixture
def sdata(section):
    """The section with a table of its own, free to be changed."""
    import spatialdata as sd

    copy = sd.SpatialData(shapes=dict(section.shapes), tables={"table": section["table"].copy()})
    copy.attrs = {"stsr": dict(section.attrs["stsr"])}
    return copy


@pytest.mark.parametrize("flavor", ["hvg", "svg"])
def test_the_best_come_first_and_always_the_same(section, flavor):
    genes = stsr.pp.select_genes(section, 12, flavor=flavor)
    assert len(genes) == len(set(genes)) == 12
    assert set(genes) <= set(section["table"].var_names)
    assert genes == stsr.pp.select_genes(section, 12, flavor=flavor)
    assert genes[:5] == stsr.pp.select_genes(section, 5, flavor=flavor)


@pytest.mark.parametrize("flavor", ["hvg", "svg"])
def test_nothing_is_written(section, flavor):
    def picture(table: ad.AnnData):
        keys = (table.obs, table.var, table.obsm, table.obsp, table.layers, table.uns)
        return [list(part) for part in keys], table.X.toarray()

    before = {name: picture(table) for name, table in section.tables.items()}
    attrs = str(section.attrs)
    stsr.pp.select_genes(section, 10, flavor=flavor)
    assert str(section.attrs) == attrs
    for name, table in section.tables.items():
        names, values = picture(table)
        assert names == before[name][0]
        np.testing.assert_array_equal(values, before[name][1])


def test_pearson_variance_is_that_of_its_paper():
    rng = np.random.default_rng(0)
    counts = rng.negative_binomial(2, 0.4, (80, 15)).astype(np.float32)
    mu = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    residual = np.clip((counts - mu) / np.sqrt(mu + mu**2 / 100), -np.sqrt(80), np.sqrt(80))
    np.testing.assert_allclose(
        _pearson_variance(sp.csr_array(counts), np.zeros((80, 2))), residual.var(axis=0), rtol=1e-4
    )


def test_moran_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    xy = np.stack(np.meshgrid(np.arange(9.0), np.arange(8.0)), axis=-1).reshape(-1, 2) * 100
    counts = rng.poisson(20 + 15 * np.sin(xy[:, :1] / 150) * [1, 0.3, 0], (72, 3)).astype(np.float32)
    values = np.log1p(counts / counts.sum(1, keepdims=True) * np.median(counts.sum(1)))
    z = values - values.mean(axis=0)
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=-1)
    weights = (distance > 0) & (distance < 125)
    weights = weights / weights.sum(axis=1, keepdims=True)
    expected = len(z) / weights.sum() * (z * (weights @ z)).sum(axis=0) / (z**2).sum(axis=0)
    np.testing.assert_allclose(_moran(sp.csr_array(counts), xy), expected, atol=1e-4)
    assert np.ptp(expected) > 0.3


def test_all_and_lists_keep_their_order(section):
    names = list(section["table"].var_names)
    assert stsr.pp.select_genes(section, "all") == names
    assert stsr.pp.select_genes(section, np.array(names[5:2:-1])) == names[5:2:-1]


def test_genes_in_too_few_spots_are_not_ranked(sdata, caplog):
    table = sdata["table"]
    counts = table.X.toarray()
    counts[:, :50] = 0
    counts[:2, 0] = 1000
    table.X = sp.csr_matrix(counts)
    with caplog.at_level(logging.INFO, logger="stsr"):
        genes = stsr.pp.select_genes(sdata, 1000)
    assert set(genes) == set(table.var_names[50:])
    assert "1000 genes asked for, 10 are found in enough spots." in caplog.messages
    table.X = sp.csr_matrix(table.shape, dtype=np.float32)
    with pytest.raises(ValueError, match="has no gene found in 3 spots"):
        stsr.pp.select_genes(sdata, 5)


@pytest.mark.parametrize("flavor", ["hvg", "svg"])
def test_empty_spots_do_not_spoil_the_ranking(sdata, section, flavor):
    table = sdata["table"]
    counts = table.X.toarray()
    counts[7] = 0
    table.X = sp.csr_matrix(counts)
    assert (
        len({*stsr.pp.select_genes(sdata, 20, flavor=flavor)} & {*stsr.pp.select_genes(section, 20, flavor=flavor)})
        > 15
    )


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (0, "genes=0 is not allowed; pass how many"),
        (True, "genes=True is not allowed"),
        (1000.0, "genes=1000.0 is not allowed"),
        (None, "genes=None is not allowed"),
        ([], r"genes=\[\] names no gene; pass how many"),
        ([1.5], "genes lists 1.5, which is no name of a gene"),
        (["PODO1", None], "genes lists None"),
        ([" "], "genes lists ' '"),
        ("some", "genes='some' is not allowed"),
        (["PODO1", "PODO1"], "genes lists PODO1 more than once"),
        (["PODO11"], r"genes='PODO11' not found in sdata\['table'\]; did you mean PODO1"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(section, genes, message):
    with pytest.raises(ValueError, match=message):
        stsr.pp.select_genes(section, genes)


def test_an_unknown_flavor_is_refused(section):
    with pytest.raises(ValueError, match="flavor='x' is not allowed; pass one of 'hvg', 'svg'"):
        stsr.pp.select_genes(section, flavor="x")


def test_symbols_that_several_columns_carry_are_refused(sdata):
    sdata["table"].var_names = ["TWICE", "TWICE", *sdata["table"].var_names[2:]]
    for genes in (10, "all", ["TWICE"]):
        with pytest.raises(
            ValueError, match=r"'TWICE' names .*columns of sdata\['table'\]; call var_names_make_unique"
        ):
            stsr.pp.select_genes(sdata, genes)


def test_normalised_values_are_refused(sdata):
    sdata["table"].X = sdata["table"].X * 0.37
    with pytest.raises(ValueError, match="non-integer values in X; raw UMI counts are needed"):
        stsr.pp.select_genes(sdata, 10)


def test_a_missing_table_is_named(sdata):
    del sdata.tables["table"]
    with pytest.raises(KeyError, match="table='table' not found"):
        stsr.pp.select_genes(sdata, 10)


def test_real_kidney_markers_are_among_the_first_thousand(data_dir):
    import scanpy as sc

    table = sc.read_10x_h5(data_dir / "kidney" / "visium" / "filtered_feature_bc_matrix.h5")
    counts = sp.csr_array(table.X)
    kept = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]) >= 28)
    rank = np.argsort(-_pearson_variance(counts[:, kept], np.zeros((len(table), 2))), kind="stable")
    first = set(table.var_names[kept[rank[:1000]]])
    assert {"NPHS2", "NPHS1", "UMOD", "AQP2", "SLC12A3", "LRP2", "ALDOB", "REN", "ACTA2"} <= first
