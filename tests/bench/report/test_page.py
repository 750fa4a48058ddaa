"""Tables and report from scores that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stsr.bench.report.figures import against_ceiling, cost_bars
from stsr.bench.report.page import markdown, render
from stsr.bench.report.summary import by_gene, summarise
from stsr.bench.report.tables import KNOWN, Tables, write_tables

FACTS = {
    "command": "stsr bench liver",
    "machine": {"system": "Linux", "processor": "x86_64", "cores": 2, "memory_gb": 16},
    "versions": {"python": "3.11.0", "torch": "2.15"},
    "encoder": "texture",
    "sections": {
        "liver": {
            "spots": 2000,
            "cells": 300_000,
            "bin_size": 8.0,
            "genes": 3,
            "mpp": 0.5,
            "seconds": 100.0,
            "peak_gb": 2.0,
        }
    },
    "settings": {"truth": "all spots given", "blocked": "blocks hidden"},
}


def rows(setting, method, seed, scale, where, pearson, ceiling=0.5):
    frame = pd.DataFrame({"gene": list("ABC"), "pearson": pearson, "ceiling": ceiling})
    frame[["section", "setting", "method", "seed", "scale_um", "where"]] = (
        "liver",
        setting,
        method,
        seed,
        float(scale),
        where,
    )
    frame["nrmse"] = [0.1, 0.1, np.nan if setting == "blocked" else 0.1]
    for name in ("spearman", "deviance", "mae", *(("rmse", "ssim") if setting == "truth" else ("mse",))):
        frame[name] = 0.25
    return frame


@pytest.fixture
def tables():
    scores = pd.concat(
        [
            *(rows("truth", "idw", 0, scale, "all", [0.1, 0.2, 0.3]) for scale in (8, 16)),
            *(rows("truth", "idw", 1, scale, "all", [0.3, 0.4, 0.5]) for scale in (8, 16)),
            rows("truth", "idw", 0, 8, "under", [0.4, 0.4, 0.4]),
            rows("truth", "idw", 1, 8, "under", [0.4, 0.4, 0.4]),
            *(rows("truth", "ridge", 0, scale, "all", [0.1, 0.4, np.nan]) for scale in (8, 16)),
            rows("blocked", "idw", 0, 55, "hidden", [0.2, 0.2, np.nan]),
            rows("blocked", "idw", 0, 55, "all", [0.6, 0.6, 0.6]),
        ],
        ignore_index=True,
    )
    costs = pd.DataFrame(
        [
            ("liver", "truth", "idw", 0, 5.0, None, 1.0, None, None, None),
            ("liver", "truth", "idw", 1, 7.0, None, 2.0, None, None, None),
            ("liver", "truth", "ridge", 0, 900.0, 36_000.0, 1.0, None, None, None),
            ("liver", "truth", "ridge", 1, None, None, None, None, None, "ValueError: no luck."),
            ("liver", "blocked", "idw", 0, 5.0, None, 1.0, 1200, 600, None),
        ],
        columns=["section", "setting", "method", "seed", *KNOWN, "error"],
    )
    return Tables(scores, costs, FACTS)


def test_means_are_over_genes_and_then_over_seeds(tables):
    summary = summarise(tables.scores).set_index(["setting", "method", "scale_um", "where"])
    idw = summary.loc[("truth", "idw", 8.0, "all")]
    assert idw["pearson"] == pytest.approx(0.3)
    assert idw["pearson_sd"] == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert idw[["seeds", "genes", "flat_truth", "flat_prediction"]].tolist() == [2, 3, 0, 0]


def test_a_constant_prediction_counts_as_0_and_a_constant_truth_not_at_all(tables):
    summary = summarise(tables.scores).set_index(["setting", "method", "scale_um", "where"])
    ridge = summary.loc[("truth", "ridge", 8.0, "all")]
    assert ridge["pearson"] == pytest.approx(0.5 / 3)
    assert ridge["pearson_median"] == pytest.approx(0.1)
    assert ridge[["genes", "flat_truth", "flat_prediction"]].tolist() == [3, 0, 1]
    assert np.isnan(ridge["pearson_sd"])
    spots = summary.loc[("blocked", "idw", 55.0, "hidden")]
    assert spots["pearson"] == pytest.approx(0.2)
    assert spots[["genes", "flat_truth", "flat_prediction"]].tolist() == [3, 1, 0]


def test_every_gene_has_a_column_for_each_method(tables):
    genes = by_gene(tables.scores)
    assert list(genes.columns) == ["section", "setting", "gene", "scale_um", "ceiling", "idw", "ridge"]
    assert len(genes) == 6
    assert genes.loc[(genes["gene"] == "A") & (genes["scale_um"] == 8), "idw"].item() == pytest.approx(0.2)


def test_the_report_tells_scores_shares_costs_and_what_is_missing(tables, tmp_path):
    write_tables(tables, tmp_path)
    text = render(tmp_path, figures={"maps.png": "maps"})
    for line in (
        "stsr bench liver",
        "on 2 cores (x86_64, Linux) with 16 GB of memory; image features: texture; python 3.11.0, torch 2.15.",
        "2,000 spots, 300,000 cells of 8 µm, 3 genes, image of 0.5 µm/px.",
        "| mean Pearson | 8 µm | 16 µm |",
        "| noise ceiling | 0.500 | 0.500 |",
        "| idw | 0.300 ± 0.141 (60%) | 0.300 ± 0.141 (60%) |",
        "| ridge | 0.167 (33%) | 0.167 (33%) |",
        "| mean deviance | 8 µm | 16 µm |",
        "| ridge | 0.2500 | 0.2500 |",
        "| ridge | 0.100 | 0.167 | – | – | 0.250 | 0.250 | 15 min | ≈ 10.0 h | 1.0 GB |",
        "- Predicted constant by ridge: 1 of 3 genes at 8 µm, 1 of 3 genes at 16 µm. They count as a correlation of 0.",
        "- 1 of 3 genes are constant in the truth at 55 µm: they have no correlation and are in no mean.",
        "- ridge (seed 1): ValueError: no luck.",
        "1,200 spots given, 600 hidden; noise ceiling 0.500.",
        "| idw | 0.200 (40%) | 0.200 | 0.250 | 0.250 | 0.250 | 0.250 | 0.600 | 5.0 s | – | 1.0 GB |",
        "![maps](maps.png)",
    ):
        assert line in text.splitlines() or line in text, line
    assert text == render(tmp_path, figures={"maps.png": "maps"})
    assert render(tmp_path, title="T", opening="First.\n").startswith("# T\n\nFirst.\n\nAll methods are given the same")


def test_the_report_tells_the_imprint_where_it_was_measured(tables, tmp_path):
    """Tables of earlier benches have no such columns, nor facts."""
    write_tables(tables, tmp_path)
    assert "imprint" not in render(tmp_path).lower()
    first = tables.scores["gene"] == "A"
    scores = tables.scores.assign(imprint=np.where(first, 3.5, 1.25), imprint_step=0.1, imprint_p=0.0123)
    scores.loc[scores["method"] == "ridge", ["imprint", "imprint_step", "imprint_p"]] = np.nan
    section = FACTS["sections"]["liver"] | {"imprint": {"mean": 1.02, "p": 0.625}}
    write_tables(replace(tables, scores=scores, facts=FACTS | {"sections": {"liver": section}}), tmp_path)
    text = render(tmp_path)
    for line in (
        "**Imprint** measures how strongly spots show in a map as discs",
        "The imprint of the truth is 1.02 (p = 0.62).",
        "| at 8 µm | median Pearson | Spearman | under spots | between spots | RMSE | SSIM | imprint | fit + predict |",
        "| 0.250 ± 0.000 | 0.250 ± 0.000 | 2.000 ± 0.000 (p = 0.012) | 6.0 s | – | 1.5 GB |",
        "| ridge | 0.100 | 0.167 | – | – | 0.250 | 0.250 | – | 15 min | ≈ 10.0 h | 1.0 GB |",
        "| on hidden spots | Pearson | median | Spearman | MSE | MAE | deviance | Pearson, all spots | imprint |",
        "| 0.600 | 2.000 (p = 0.012) | 5.0 s | – | 1.0 GB |",
    ):
        assert line in text, line
    write_tables(replace(tables, scores=scores.assign(imprint_p=1e-9)), tmp_path)
    assert "| 2.000 (p &lt; 0.001) |" in render(tmp_path)


def test_figures_have_a_panel_for_each_method(tables):
    truth = tables.scores[tables.scores["setting"] == "truth"]
    figure = against_ceiling({str(method): table for method, table in truth.groupby("method")}, "all")
    assert [panel.get_title() for panel in figure.axes] == ["idw: mean 0.300", "ridge: mean 0.250"]
    left, right = cost_bars(tables.costs).axes
    assert [bar.get_width() for bar in left.patches] == pytest.approx([900, 17 / 3])
    assert len(right.patches) == 2


def test_what_others_wrote_is_no_markdown_and_no_html():
    table = markdown(["<b>", "x"], [["idw|a\nb", "`1`"], ["[a](javascript:b)", "*2*"]])
    assert table.splitlines() == [
        "| &lt;b&gt; | x |",
        "| --- | ---: |",
        "| idw\\|a b | \\`1\\` |",
        "| \\[a\\](javascript:b) | \\*2\\* |",
    ]
