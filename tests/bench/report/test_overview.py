"""The overview from means that are known."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from stsr.bench.protocol.settings import SETTINGS
from stsr.bench.report.overview import CLAIMS, EARLIER, OURS, THEIRS, overview, read_summaries
from stsr.bench.report.page import INTERPOLATIONS
from stsr.bench.report.tables import SUMMARY
from stsr.methods import METHODS
from stsr.tl import fit_super_resolution


def means(section, setting, scores, *, scale=8.0, where="all", sd=np.nan, ceiling=0.5, imprint=np.nan):
    """A summary of one section, setting and scale, with the places that tables have and that are not to be told."""
    one = pd.DataFrame({"method": list(scores), "pearson": list(scores.values())}).assign(
        section=section,
        setting=setting,
        scale_um=scale,
        where=where,
        pearson_sd=sd,
        ceiling=ceiling,
        imprint=imprint,
        imprint_sd=np.nan,
    )
    other = "under" if where == "all" else "all"
    return pd.concat([one, one.assign(where=other, pearson=0.9, ceiling=0.9, imprint=9.0)])


def cells_of(*tables):
    """The rows of the overview, as lists of cells by what they are of."""
    lines = overview(pd.concat(tables, ignore_index=True)).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [row for row in rows if row[0] != "---"][1:]


def test_a_row_tells_the_default_and_what_it_is_above():
    scores = {"nearest": 0.1, "idw": 0.2, "histex": 0.24, OURS: 0.3}
    assert cells_of(means("kidney", "truth", scores, sd=0.01, imprint=1.214)) == [
        [
            "kidney, independent halves of the molecules (truth)",
            "8 µm",
            "0.300 ± 0.010",
            "histex 0.240 ± 0.010 (of 3)",
            "+25%",
            "idw 0.200 ± 0.010",
            "0.500 (60%)",
            "1.21",
            "–",
        ]
    ]


def test_what_was_not_measured_is_a_dash():
    (row,) = cells_of(means("breast", "truth", {OURS: 0.3, "ridge": 0.4}, ceiling=np.nan))
    assert row[2:] == ["0.300", "ridge 0.400 (of 1)", "-25%", "–", "–", "–", "–"]
    (row,) = cells_of(means("kidney", "truth", {"idw": 0.2}))
    assert row[2:] == ["–", "idw 0.200 (of 1)", "–", "idw 0.200", "0.500 (–)", "–", "–"]
    (row,) = cells_of(means("kidney", "truth", {OURS: 0.3}).drop(columns=["imprint", "imprint_sd"]))
    assert row[2:] == ["0.300", "–", "–", "–", "0.500 (60%)", "–", "–"]


def test_the_default_with_other_options_is_no_other_method():
    (row,) = cells_of(means("kidney", "truth", {OURS: 0.3, f"{OURS}:balance=exact": 0.31, "histex:faithful=true": 0.2}))
    assert row[3] == "histex:faithful=true 0.200 (of 1)"


def test_claims_come_in_their_order_and_scales_from_fine_to_coarse():
    one = {OURS: 0.3, "idw": 0.2}
    rows = cells_of(
        *(means("kidney", "shared_noise", one, scale=scale) for scale in (16.0, 8.0)),
        means("her2st/B4", "transfer", one, where="hidden", scale=100.0),
        means("kidney", "truth_80", one),
        means("kidney", "truth", one),
        means("liver", "truth", one),
        means("kidney", "shuffled_labels", one),
    )
    settings = [row[0].rpartition("(")[2].rstrip(")") for row in rows]
    assert settings == ["truth", "truth_80", "transfer", "shared_noise", "shared_noise"]
    assert [row[1] for row in rows] == ["8 µm", "8 µm", "100 µm", "8 µm", "16 µm"]


def test_no_claim_without_tables_has_a_row():
    assert cells_of(means("liver", "truth", {OURS: 0.3})) == []


def test_several_sections_are_their_mean_of_methods_that_all_have():
    rows = cells_of(
        means("her2st/C2", "random_half", {OURS: 0.2, "idw": 0.1, "istar": 0.9}, where="hidden", sd=0.1, ceiling=0.4),
        means("her2st/C4", "random_half", {OURS: 0.4, "idw": 0.3}, where="hidden", sd=0.1, ceiling=0.6),
    )
    assert [row[0] for row in rows] == ["her2st C2, C4, half of the spots hidden (random_half)"]
    assert rows[0][2:7] == ["0.300", "idw 0.200 (of 1)", "+50%", "idw 0.200", "0.500 (60%)"]


def test_the_control_is_beside_the_truth_that_it_was_scored_on():
    """Benches of before scored it with shared noise; its noise ceiling tells."""
    both = [
        means("kidney", "truth", {OURS: 0.3}, ceiling=0.25),
        means("kidney", "shared_noise", {OURS: 0.3}, ceiling=0.34),
    ]
    shuffled = {"idw": 0.2, OURS: 0.21}
    now = cells_of(*both, means("kidney", "shuffled_image", shuffled, ceiling=0.252))
    assert [row[-1] for row in now] == ["0.210 / 0.200", "–"]
    before = cells_of(*both, means("kidney", "shuffled_image", shuffled, ceiling=0.34))
    assert [row[-1] for row in before] == ["–", "0.210 / 0.200"]
    unknown = cells_of(
        means("breast", "truth", {OURS: 0.3}, ceiling=np.nan),
        means("breast", "shuffled_image", {OURS: 0.21}, ceiling=np.nan),
    )
    assert unknown[0][-1] == "0.210 / –"


def test_the_control_is_beside_the_spots_that_it_hid():
    hidden = {"where": "hidden", "scale": 100.0}
    rows = cells_of(
        *(means(f"her2st/{name}", "random_half", {OURS: 0.3}, **hidden) for name in ("C2", "C3")),
        *(means(f"her2st/{name}", "blocked", {OURS: 0.3}, **hidden) for name in ("C2", "C3")),
        means("her2st/C3", "shuffled_image", {OURS: 0.2, "idw": 0.19}, **hidden),
        means("her2st/C4", "shuffled_image", {OURS: 0.2, "idw": 0.19}, **hidden),
    )
    assert [row[-1] for row in rows] == ["her2st C3: 0.200 / 0.190", "–"]


def test_rows_that_were_made_before_there_was_an_imprint_are_told():
    new = means("kidney", "truth", {OURS: 0.3}, imprint=1.2)
    old = means("kidney", "shared_noise", {OURS: 0.3})
    failed = means("kidney", "shared_noise", {"idw": 0.3})
    assert EARLIER in overview(pd.concat([new, old]))
    assert EARLIER not in overview(pd.concat([new, failed]))


def test_the_same_scores_in_two_folders_are_refused(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    means("kidney", "truth", {"idw": 0.1, OURS: 0.3}).to_csv(one / SUMMARY, index=False)
    means("kidney", "truth", {"ridge": 0.2}).to_csv(two / SUMMARY, index=False)
    assert sorted(read_summaries(one, two)["method"].unique()) == [OURS, "idw", "ridge"]
    means("kidney", "truth", {"ridge": 0.2, OURS: 0.3}).to_csv(two / SUMMARY, index=False)
    with pytest.raises(ValueError, match=rf"\['one', 'two'\] each hold {OURS} on kidney in setting truth; remove"):
        read_summaries(one, two)


def test_names_are_those_of_the_package():
    assert inspect.signature(fit_super_resolution).parameters["method"].default == OURS
    assert {THEIRS, *INTERPOLATIONS} <= set(METHODS)
    assert {"nearest", "idw", "linear", "kriging"} <= set(INTERPOLATIONS)
    assert {claim.setting for claim in CLAIMS} <= set(SETTINGS)
