"""Training curves and scores: the lines are the numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from toys.picture import Picture
from toys.result import add_grid, add_result
from toys.spatial import toy_sdata

import stsr
from stsr.geometry import Grid
from stsr.metrics.by_name import METRICS

HISTORY = {"train": [3.0, 2.0, 1.5, 1.2], "held_out": [3.1, 2.5, 2.4, 2.6]}


def model(history):
    return SimpleNamespace(name="toy", history=history)


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_losses_by_epoch_and_the_lowest_held_out_one():
    (axes,) = stsr.pl.training(model(HISTORY)).axes
    drawn = lines(axes)
    np.testing.assert_array_equal(drawn["training spots"].get_xydata(), list(enumerate(HISTORY["train"], 1)))
    np.testing.assert_array_equal(drawn["held-out spots"].get_xydata(), list(enumerate(HISTORY["held_out"], 1)))
    assert set(drawn["lowest: epoch 3"].get_xdata()) == {3}


def test_every_network_has_its_curves_and_the_legend_names_them_once():
    both = HISTORY | {f"{name} 2": [v + 1 for v in losses] for name, losses in HISTORY.items()}
    (axes,) = stsr.pl.training(model(both)).axes
    assert sum(len(line.get_xdata()) == 4 for line in axes.lines) == 4
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training spots", "held-out spots"]


def test_training_is_found_in_a_table():
    sdata = toy_sdata()
    grid = add_grid(sdata, Grid(np.diag([8.0, 8, 1]), np.ones((9, 9), dtype=bool)))
    kept = {name: np.array(losses) for name, losses in HISTORY.items()}
    add_result(sdata, np.zeros((grid.n_cells, 1)), ["A"], history=kept)
    (axes,) = stsr.pl.training(sdata).axes
    np.testing.assert_array_equal(lines(axes)["training spots"].get_ydata(), HISTORY["train"])
    with pytest.raises(KeyError, match="table='x' not found"):
        stsr.pl.training(sdata, table="x")
    with pytest.raises(ValueError, match="table 'table' keeps no losses"):
        stsr.pl.training(sdata, table="table")


def test_a_method_without_training_is_told():
    with pytest.raises(ValueError, match="model 'toy' keeps no losses; methods that are solved in one go have none"):
        stsr.pl.training(model({}))


def table(level):
    frame = pd.DataFrame(
        [(g, s, w) for g in "AB" for s in (8.0, 16.0, 56.0) for w in ("all", "under")],
        columns=["gene", "scale_um", "where"],
    )
    frame["pearson"] = level * np.log2(frame["scale_um"]) / 6 + (frame["gene"] == "A") * 0.1
    frame["deviance"] = frame["scale_um"] / level
    frame["ceiling"] = np.where(frame["where"] == "all", 0.9, 0.7)
    return frame


def test_scores_are_means_over_genes_against_the_ceiling():
    good, bad = table(0.6), table(0.3)
    (axes,) = stsr.pl.scores({"good": good, "bad": bad}).axes
    drawn = lines(axes)
    for name, frame in (("good", good), ("bad", bad)):
        expected = frame[frame["where"] == "all"].groupby("scale_um")["pearson"].mean()
        np.testing.assert_allclose(drawn[name].get_xydata(), list(expected.items()))
    np.testing.assert_allclose(drawn["noise ceiling"].get_ydata(), 0.9)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["8", "16", "56"]
    assert Picture(axes.figure).pixels.std() > 0.05

    (axes,) = stsr.pl.scores(good, metric="deviance", where="under").axes
    assert set(lines(axes)) == {"prediction"}
    assert axes.get_ylim()[0] == 0


def test_no_two_of_a_dozen_curves_look_alike():
    (axes,) = stsr.pl.scores({f"m{number}": table(0.3 + number / 100) for number in range(13)}).axes
    drawn = [line for name, line in lines(axes).items() if name != "noise ceiling"]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in drawn}
    assert len(looks) == len(drawn) == 13


def test_without_a_ceiling_there_is_none_to_draw():
    (axes,) = stsr.pl.scores(table(0.5).assign(ceiling=np.nan)).axes
    assert set(lines(axes)) == {"prediction"}


def test_unknown_scores_and_places_are_refused():
    with pytest.raises(ValueError, match="metric='r2' is not a score; choose one of pearson"):
        stsr.pl.scores(table(0.5), metric="r2")
    with pytest.raises(
        ValueError, match="where='outside' is not among the scores of 'prediction'; they have all, under"
    ):
        stsr.pl.scores(table(0.5), where="outside")


@pytest.mark.parametrize("metric", [*METRICS, "ssim"])
def test_every_score_can_be_drawn(metric):
    frame = table(0.5)
    frame[metric] = np.linspace(0.1, 0.5, len(frame))
    (axes,) = stsr.pl.scores(frame, metric=metric).axes
    assert axes.get_ylabel().startswith("mean ")


def test_scores_that_were_not_told_are_refused():
    with pytest.raises(
        ValueError, match=r"metric='mae' is not among the scores of 'prediction', which have pearson, dev"
    ):
        stsr.pl.scores(table(0.5), metric="mae")
    with pytest.raises(ValueError, match="scores is empty"):
        stsr.pl.scores({})
    with pytest.raises(ValueError, match="scores of 'prediction' lack 'scale_um'; pass what stsr.tl.evaluate returns"):
        stsr.pl.scores(pd.DataFrame({"pearson": [1.0]}))
    with pytest.raises(ValueError, match="scores of 'prediction' lack 'scale_um'"):
        stsr.pl.scores([1, 2])
    assert stsr.pl.scores(table(0.5).drop(columns="ceiling"))


def test_held_out_losses_that_are_not_numbers_have_no_mark():
    (axes,) = stsr.pl.training(model({"train": [1.0, 2.0], "held_out": [np.nan, np.inf]})).axes
    assert "lowest" not in " ".join(lines(axes))
