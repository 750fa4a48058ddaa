"""What a method is given in each setting, and how spots are scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from toys.result import add_grid, add_result

import stsr
from stsr import metrics
from stsr.bench.files import GRID, RESULT
from stsr.bench.jobs.maps import extremes
from stsr.bench.jobs.measure import arrange, score_spots, with_imprint
from stsr.bench.jobs.prepare import truth_imprint
from stsr.bench.protocol.settings import SETTINGS
from stsr.bench.protocol.splits import Parts
from stsr.geometry import Disc, footprint
from stsr.spatial import labels_to_grid


@pytest.fixture
def sdata():
    return stsr.datasets.synthetic_section(size=(700, 700), n_genes=5, depth=3000)


def test_all_spots_are_given_for_the_truth(sdata):
    before = sdata["table"].copy()
    measured, parts, _ = arrange(sdata, SETTINGS["shared_noise"], sdata["truth_008um"].copy(), seed=0)
    assert parts is None
    assert (sdata["table"].X != before.X).nnz == 0
    assert measured.n_obs == before.n_obs


@pytest.mark.parametrize("name", ["random_half", "alternate", "blocked"])
def test_the_method_does_not_get_at_hidden_spots(sdata, name):
    before = sdata["table"].copy()
    measured, parts, truth = arrange(sdata, SETTINGS[name], None, seed=1)
    assert truth is None
    assert list(sdata["table"].obs_names) == list(before.obs_names[parts.given])
    assert list(measured.obs_names) == list(before.obs_names)
    assert not set(before.obs_names[parts.hidden]) & set(sdata["table"].obs_names)
    section = stsr.spatial.read_section(sdata, genes=list(before.var_names), grid="truth_grid_008um")
    assert len(section.spots) == parts.given.sum()


def test_labels_are_shuffled_among_the_spots_that_are_given(sdata):
    before = sdata["table"].copy()
    setting = replace(SETTINGS["shuffled_labels"], share=None)
    measured, parts, _ = arrange(sdata, setting, sdata["truth_008um"].copy(), seed=0)
    after = sdata["table"]
    assert parts is None
    assert list(after.obs_names) == list(before.obs_names)
    rows, shuffled = before.X.toarray(), after.X.toarray()
    assert (rows != shuffled).any(axis=1).mean() > 0.7
    assert sorted(map(tuple, rows)) == sorted(map(tuple, shuffled))
    np.testing.assert_array_equal(measured.X.toarray(), rows)


def test_without_truth_hidden_spots_keep_their_labels_and_the_split_is_that_of_random_half(sdata):
    before = sdata["table"].copy()
    measured, parts, _ = arrange(sdata, SETTINGS["shuffled_labels"], None, seed=3)
    given = before[parts.given].X.toarray()
    assert sorted(map(tuple, sdata["table"].X.toarray())) == sorted(map(tuple, given))
    np.testing.assert_array_equal(measured.X.toarray(), before.X.toarray())
    sdata.tables["table"] = before
    _, other, _ = arrange(sdata, SETTINGS["random_half"], None, seed=3)
    np.testing.assert_array_equal(parts.given, other.given)


def test_spots_are_scored_by_the_sum_over_their_disc(sdata):
    grid = add_grid(sdata, labels_to_grid(sdata, "truth_grid_008um"), GRID)
    genes = list(sdata["table"].var_names)
    prediction = np.random.default_rng(0).gamma(1, 1, (grid.n_cells, len(genes))).astype(np.float32)
    add_result(sdata, prediction, genes, grid=GRID, key=RESULT)
    spots = sdata["table"]
    hidden = np.arange(spots.n_obs) % 2 == 0
    scores = score_spots(sdata, spots, Parts(~hidden, hidden))
    discs = footprint(grid, spots.obsm["spatial"], Disc(55.0)) @ prediction  # 1 µm per pixel
    counts = spots.X.toarray()
    for where, chosen in (("hidden", hidden), ("all", np.ones(len(hidden), dtype=bool))):
        rows = scores[scores["where"] == where]
        assert rows["gene"].tolist() == genes
        for name in ("pearson", "mse", "mae", "deviance"):
            expected = getattr(metrics, name)(counts[chosen], discs[chosen])
            np.testing.assert_allclose(rows[name], expected, rtol=1e-4)
    assert scores["scale_um"].eq(55).all()
    assert scores["ceiling"].between(0, 1).all()


def test_every_score_of_a_gene_has_its_imprint_beside_it(sdata):
    grid = add_grid(sdata, labels_to_grid(sdata, "truth_grid_008um"), GRID)
    genes = list(sdata["table"].var_names)
    prediction = np.random.default_rng(0).gamma(1, 1, (grid.n_cells, len(genes))).astype(np.float32)
    add_result(sdata, prediction, genes, grid=GRID, key=RESULT)
    scores = pd.DataFrame({"gene": [*genes, *genes[::-1]], "pearson": np.arange(10)})
    told, imprint = with_imprint(scores, sdata), stsr.tl.lattice_imprint(sdata, RESULT).set_index("gene")
    pd.testing.assert_frame_equal(told[["gene", "pearson"]], scores)
    for ours, theirs in (("imprint", "imprint"), ("imprint_step", "step"), ("imprint_p", "p_all")):
        np.testing.assert_array_equal(told[ours], imprint.loc[told["gene"], theirs])
    assert list(told.columns) == ["gene", "pearson", "imprint", "imprint_step", "imprint_p"]


def test_the_truth_tells_what_imprint_to_expect(sdata):
    truth = sdata["truth_008um"]
    add_grid(sdata, labels_to_grid(sdata, "truth_grid_008um"), GRID)
    add_result(sdata, truth.X.toarray(), truth.var_names, grid=GRID, key=RESULT)
    expected = stsr.tl.lattice_imprint(sdata, RESULT)
    found = truth_imprint(sdata, truth)
    assert found == pytest.approx({"mean": expected["imprint"].mean(), "p": expected["p_all"][0]}, rel=1e-4)
    sdata.tables["table"] = sdata["table"][:3].copy()
    assert truth_imprint(sdata, truth) is None


def test_maps_show_the_genes_at_either_end():
    scores = pd.DataFrame(
        {
            "gene": list("ABCDEFG") * 2,
            "scale_um": [8.0] * 7 + [16.0] * 7,
            "where": "all",
            "pearson": [0.1, 0.2, 0.3, 0.4, 0.45, np.nan, 0.1] + [0.9] * 7,
            "ceiling": [0.5] * 6 + [0.1] + [0.9] * 7,
        }
    )
    assert extremes(scores) == ["E", "D", "B", "A"]
    assert extremes(scores[scores["gene"].isin(["A", "B"])]) == ["B", "A"]
