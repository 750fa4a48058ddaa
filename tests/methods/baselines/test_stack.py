"""The stack finds the weights of its members, from counts that these did not see."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from toys.section import toy_encoder, toy_section

from stsr.methods import METHODS, Method, MethodInfo, Prediction, Training, create
from stsr.methods.baselines.stack import PRIOR_COUNTS, StackConfig, blend
from stsr.metrics import deviance
from stsr.tl import Model

TOY = toy_section(shape=(84, 90), depth=200.0)
QUIET = Training(device="cpu", progress=False)


def fit(section=TOY.section, *, seed=0, **options):
    return create("stack", options).fit(section, seed=seed, training=QUIET)


@pytest.fixture(scope="module")
def fitted():
    return fit()


@dataclass(frozen=True)
class Nothing:
    """No options."""


class Oracle(Method):
    """Knows the truth of a section with small spots, between which expression differs."""

    toy: ClassVar = toy_section(depth=400_000.0, pitch=40.0, diameter=24.0)
    info: ClassVar = MethodInfo("oracle", "The truth", "none", 2000)
    Config: ClassVar = Nothing

    def fit(self, section, *, seed, training):  # noqa: D102
        whole = len(section.spots) == len(self.toy.section.spots)
        self.arrays = {"kept": section.counts.sum() / self.toy.section.counts.sum() if whole else np.ones(1)}
        return self

    def on(self, section, *, device="auto"):  # noqa: D102
        truth = self.toy.truth * self.arrays["kept"]
        return lambda rows: Prediction(mean=truth[section.grid.cells(rows)])


def test_a_member_that_is_the_truth_gets_the_weight(monkeypatch):
    monkeypatch.setitem(METHODS, "oracle", Oracle)
    weights = fit(Oracle.toy.section, methods=("nearest", "oracle", "ridge"), folds=3).arrays["weights"]
    assert weights.shape == (6, 3)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=0.05)
    assert weights[:, 1].mean() > 0.85


def test_it_predicts_the_weighted_sum_of_members_fitted_to_all_spots(fitted):
    section, names = TOY.section, fitted.config.methods
    members = [create(name).fit(section, seed=0, training=QUIET).on(section)(slice(None)).mean for name in names]
    expected = np.einsum("gm,mcg->cg", fitted.arrays["weights"], members)
    np.testing.assert_allclose(fitted.on(section)(slice(None)).mean, expected, rtol=1e-4)


def test_on_held_out_counts_it_is_better_than_its_best_member(fitted):
    counts, expected = fitted._predictions(TOY.section, seed=9, training=QUIET)  # other folds than those of the fit
    stacked = deviance(counts, np.einsum("gm,msg->sg", fitted.arrays["weights"], expected)).mean()
    assert stacked < min(deviance(counts, member).mean() for member in expected)


def test_genes_differ_in_their_weights(fitted):
    weights = dict(zip(fitted.config.methods, fitted.arrays["weights"].T, strict=True))
    image = weights["ridge"] + weights["feature_knn"]
    assert image[-1] > image[0]  # the last gene follows the image alone, the first the trend


def test_blend_agrees_with_non_negative_least_squares_where_counts_are_many():
    rng = np.random.default_rng(0)
    expected = rng.gamma(2.0, 1e5, (3, 400, 2)).astype(np.float32)
    counts = rng.poisson(np.einsum("gm,msg->sg", [[0.2, 0.8, 0.0], [1.0, 0.0, 0.0]], expected)).astype(np.float32)
    solved = [nnls(expected[:, :, gene].T.astype(float), counts[:, gene].astype(float))[0] for gene in range(2)]
    np.testing.assert_allclose(blend(counts, expected), solved, atol=1e-2)


def test_a_gene_without_counts_keeps_equal_weights():
    nothing = np.zeros((50, 1), dtype=np.float32)
    np.testing.assert_allclose(blend(nothing, np.zeros((4, 50, 1), dtype=np.float32)), 0.25)
    few = np.zeros((50, 1), dtype=np.float32)
    few[:5] = 1
    clear = np.stack([few, 0.1 + 0 * few])
    alike = blend(few, clear)
    assert 0.5 < alike[0, 0] < 0.6  # five counts against a prior of PRIOR_COUNTS
    many = np.float32(20 * PRIOR_COUNTS)
    assert blend(many * few, many * clear)[0, 0] > 0.95


def test_saved_and_loaded_it_predicts_the_same(fitted, tmp_path):
    model = Model(fitted, TOY.section.genes, 8.0, toy_encoder(TOY.section), seed=0)
    back = Model.load(model.save(tmp_path / "stack.safetensors"))
    assert back.method.config == fitted.config
    before, after = (m.on(TOY.section)(slice(0, 20)).mean for m in (fitted, back.method))
    np.testing.assert_array_equal(before, after)
    assert {"weights", "member/ridge/coefficients", "member/kriging/length"} <= set(fitted.arrays)


def test_options_that_make_no_stack_are_refused():
    with pytest.raises(ValueError, match="methods lists 'krige', which cannot be stacked; choose from .*idw, kriging"):
        StackConfig(methods=("idw", "krige"))
    with pytest.raises(ValueError, match="methods lists 'stack', which cannot"):
        StackConfig(methods=("idw", "stack"))
    with pytest.raises(ValueError, match="methods lists 'cross_attention', which cannot"):
        StackConfig(methods=("idw", "cross_attention"))
    for names in (["idw"], [], "idw,ridge"):
        with pytest.raises(ValueError, match="methods=.* is not allowed; pass a list of 2 to 64 items, each text"):
            create("stack", {"methods": names})
    with pytest.raises(ValueError, match="name each method once"):
        create("stack", {"methods": ["idw", "idw"]})


def test_few_spots_are_warned_of_once_and_too_few_refused(caplog):
    section = replace(TOY.section, features=TOY.section.features[:2])
    with pytest.raises(ValueError, match="spots=24 are too few to train method='stack', which needs 25"):
        fit(section.subset(np.arange(24)))
    with caplog.at_level(logging.WARNING, logger="stsr"):
        fit(section.subset(np.arange(25)))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "25 spots are few to train method='stack', which wants 200"
    ]


def test_a_gene_that_no_spot_has_is_no_trouble():
    counts = sp.csr_array(TOY.section.counts.toarray() * np.array([1, 0, 1, 1, 1, 1], dtype=np.float32))
    got = fit(replace(TOY.section, counts=counts), methods=["idw", "ridge"], folds=2).on(TOY.section)(slice(0, 9)).mean
    assert np.isfinite(got).all()
