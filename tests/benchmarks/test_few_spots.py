"""benchmarks/few_spots.py: boxes of about so many spots, and the table of what methods make of them."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys.bench import TINY, in_this_process, load_script
from toys.section import hex_lattice

from stsr.bench.jobs import execute

DIAMETER, PIXEL = 55.0, 2.008
XY = hex_lattice(3000, 2000, 100.0)
few_spots = load_script("few_spots")


def held(box):
    low, high = np.array(box).reshape(2, 2)
    return int(((XY - DIAMETER / 2 >= low) & (XY + DIAMETER / 2 <= high)).all(axis=1).sum())


@given(spots=st.integers(1, 400), centre=st.integers(0, len(XY) - 1))
def test_a_box_is_the_smallest_square_with_so_many_spots(spots, centre):
    box = few_spots.box_around(XY, XY[centre], spots, diameter=DIAMETER, pixel=PIXEL)
    left, top, right, bottom = box
    assert right - left == pytest.approx(bottom - top)
    np.testing.assert_allclose(np.array(box) / PIXEL, np.rint(np.array(box) / PIXEL), atol=1e-6)
    assert held(box) >= spots
    if spots > 1:
        fewer = few_spots.box_around(XY, XY[centre], spots - 1, diameter=DIAMETER, pixel=PIXEL)
        assert held(fewer) == held(box) or held(fewer) < spots
        assert (np.array(fewer[:2]) >= np.array(box[:2]) - 1e-6).all()  # the one lies in the other
        assert (np.array(fewer[2:]) <= np.array(box[2:]) + 1e-6).all()


def test_a_box_lies_around_its_place_and_within_the_section():
    middle, corner = np.array([1500.0, 1000.0]), XY[0]
    left, top, right, bottom = few_spots.box_around(XY, middle, 50, diameter=DIAMETER, pixel=PIXEL)
    np.testing.assert_allclose([(left + right) / 2, (top + bottom) / 2], middle, atol=2 * PIXEL)
    box = few_spots.box_around(XY, corner, 50, diameter=DIAMETER, pixel=PIXEL)
    assert (np.array(box[:2]) >= XY.min(axis=0) - DIAMETER / 2 - PIXEL).all()
    assert held(box) < 65


def test_more_spots_than_a_square_holds_are_refused_with_what_it_holds():
    with pytest.raises(ValueError, match=r"^spots=600 lie in no square box .*; pass \d{3} or fewer\.$") as refused:
        few_spots.box_around(XY, XY[0], 600, diameter=DIAMETER, pixel=PIXEL)
    most = int(str(refused.value).split("pass ")[1].split()[0])
    assert held(few_spots.box_around(XY, XY[0], most, diameter=DIAMETER, pixel=PIXEL)) == most


def test_a_section_without_true_bins_of_its_own_is_refused(tmp_path, monkeypatch):
    source = few_spots.find_sources("synthetic")[0]
    monkeypatch.setattr(type(source), "relative", True)
    with pytest.raises(ValueError, match="section='synthetic' has no true bins of the same tissue"):
        few_spots.write_boxes("synthetic", tmp_path, [20], 1, 5)


def test_the_verdict_is_that_of_means_over_seeds():
    rows = [(50, 0, 51, seed, 8.0, 0.5, 0.1, 0.2, 0.3, ours) for seed, ours in ((0, 0.29), (1, 0.33))]
    rows += [(100, 0, 104, seed, 8.0, 0.5, 0.1, 0.4, 0.3, 0.35) for seed in (0, 1)]
    table = pd.DataFrame(rows, columns=[*few_spots.KEYS, "ceiling", *few_spots.OTHERS, few_spots.OURS])
    text = few_spots.told(few_spots.with_gain(table))
    assert text.endswith("in 1 of 2 boxes and scales, by 0.050 at most (100 spots, place 0, 8 µm).")
    assert " 0.310 " in text
    assert few_spots.told(few_spots.with_gain(table[:2])).endswith("in 0 of 1 boxes and scales.")


def test_a_run_that_failed_has_no_gain():
    table = pd.DataFrame({"idw": [0.1], "kriging": [np.nan], "ridge": [0.2], "cross_attention": [0.3]})
    assert few_spots.with_gain(table)["gain"].isna().all()


def test_it_runs_every_method_on_every_box_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(execute, "spawn", in_this_process)
    monkeypatch.setattr("stsr.bench.jobs.maps.draw_extremes", lambda *args: None)  # the table needs no maps
    options = [word for key, value in TINY.items() for word in ("--option", f"{key}={value}")]
    words = ["synthetic:800", "--out", str(tmp_path), "--spots", "20,30", "--places", "1", "--genes", "4", *options]
    monkeypatch.setattr(sys, "argv", ["few_spots.py", *words])
    few_spots.main()
    table = pd.read_csv(tmp_path / "few_spots.csv")
    assert table["spots"].tolist() == [20] * 4 + [30] * 4
    assert table["scale_um"].tolist() == [8, 16, 32, 56] * 2
    assert (table["measured"] >= table["spots"]).all()
    assert (table["measured"] < table["spots"] + 8).all()
    assert np.isfinite(table.to_numpy()).all()
    assert (table["ceiling"] > table["idw"]).any()
    np.testing.assert_allclose(
        table["gain"], table["cross_attention"] - table[["idw", "kriging", "ridge"]].max(axis=1), atol=1e-4
    )
    assert "of 8 boxes and scales" in capsys.readouterr().out
    few_spots.main()
    assert capsys.readouterr().out.count("there already") == 8
