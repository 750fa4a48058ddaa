"""Figures are pyplot's, shown and saved as asked."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

import stsr

TABLE = pd.DataFrame({"scale_um": [8, 16], "where": "all", "pearson": [0.2, 0.3], "ceiling": [0.3, 0.5]})


def draw(**options):
    return stsr.pl.scores(TABLE, **options)


def test_pyplot_shows_and_saves_what_was_drawn_last(tmp_path):
    figure = draw()
    assert plt.gcf() is figure
    plt.savefig(tmp_path / "scores.png")
    assert imread(tmp_path / "scores.png").std() > 0.05


def test_a_notebook_shows_the_figure_once(monkeypatch):
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    draw()
    assert plt.get_fignums() == []


def test_a_saved_figure_is_let_go_and_can_still_be_used(tmp_path):
    for number in range(25):  # pyplot warns of more than 20 open figures
        figure = draw(save=tmp_path / f"{number}.png")
    assert plt.get_fignums() == []
    assert imread(tmp_path / "7.png").std() > 0.05
    figure.savefig(tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").stat().st_size > 1000
    draw(save=str(tmp_path / "text.svg"))
    assert "<svg" in (tmp_path / "text.svg").read_text()


def test_show_is_pyplots(monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    figure = draw(show=True, save=tmp_path / "a.png")
    assert shown == [figure]
    draw(show=None)
    assert len(shown) == 1
    plt.close("all")
    draw(show=False)
    assert plt.get_fignums() == []


def test_curves_are_drawn_into_given_axes():
    figure, (left, right) = plt.subplots(1, 2)
    assert stsr.pl.scores(TABLE, ax=left) is figure
    assert stsr.pl.training(type("Model", (), {"name": "m", "history": {"held_out": [2.0, 1.0]}}), ax=right) is figure
    assert left.get_ylabel() == "mean Pearson correlation"
    assert right.get_xlabel() == "epoch"
    part = plt.figure().subfigures(1, 2)[0]
    assert stsr.pl.scores(TABLE, ax=part.subplots()) is plt.gcf()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"save": "a.nope"}, ValueError, "save='a.nope' has no ending of a picture; use one of .*png"),
        ({"save": "picture"}, ValueError, "save='picture' has no ending"),
        ({"save": "no/folder/a.png"}, FileNotFoundError, "save='no/folder/a.png' is in a folder that is not there"),
        ({"save": True}, ValueError, "save=True is no path"),
        ({"save": ""}, ValueError, "save='' is no path"),
        ({"show": "yes"}, ValueError, "show='yes' is not allowed; pass True or False or None"),
        ({"ax": "left"}, ValueError, "ax='left' is of type str; pass one axes"),
        ({"ax": np.empty(2)}, ValueError, "is of type ndarray; pass one axes"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_drawn(options, error, message):
    with pytest.raises(error, match=message):
        draw(**options)
    assert plt.get_fignums() == []
