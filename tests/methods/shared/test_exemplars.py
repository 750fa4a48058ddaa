"""Exemplars against a search through all spots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from stsr.methods.shared import exemplars
from stsr.methods.shared.exemplars import Exemplars

NAMES = st.sampled_from(["", "A", "B", "C"])
SPOT = st.tuples(NAMES, NAMES, st.tuples(*[st.integers(-3, 3)] * 3))
"""Section, patient, and features that often agree, so that there are ties."""


def arrays(spots):
    section, patient, features = zip(*spots, strict=True)
    return np.array(features, dtype=float), np.array(section), np.array(patient)


def brute(spots, query, k):
    """Positions and distances, the slow and plain way."""
    section, patient, place = query
    others = [
        (float(np.linalg.norm(np.subtract(features, place))), number)
        for number, (its_section, its_patient, features) in enumerate(spots)
        if its_section != section and (not patient or its_patient != patient)
    ]
    return None if len(others) < k else sorted(others)[:k]


@settings(max_examples=200, deadline=None)
@given(st.lists(SPOT, min_size=1, max_size=30), st.lists(SPOT, min_size=1, max_size=8), st.integers(1, 4))
def test_it_finds_what_a_search_through_all_finds(spots, queries, k):
    index, expected = Exemplars.build(*arrays(spots)), [brute(spots, query, k) for query in queries]
    if None in expected:
        with pytest.raises(ValueError, match=rf"k={k} exemplars are wanted from outside section .* the index has"):
            index.query(*arrays(queries), k)
        return
    indices, distances = index.query(*arrays(queries), k)
    assert indices.tolist() == [[number for _, number in found] for found in expected]
    np.testing.assert_allclose(distances, [[distance for distance, _ in found] for found in expected], atol=1e-12)


@pytest.fixture(params=[0.0, 1e6], ids=["centred", "far from zero"])
def random(request):
    """Features of 300 spots in 64 dimensions: in pairs 1e-6 apart, which the matrix product alone does not tell."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(150, 64)), 2, axis=0)
    features += rng.normal(size=features.shape) * 1e-6
    return features + request.param, rng.choice(["A", "B", "C"], 300), rng.choice(["", "P", "Q"], 300)


def test_near_twins_come_in_the_right_order(random):
    features, section, patient = random
    indices, distances = Exemplars.build(*random).query(*random, k=5)
    apart = cdist(features, features)
    own = (section[:, None] == section) | ((patient[:, None] == patient) & (patient[:, None] != ""))
    apart[own] = np.inf
    np.testing.assert_array_equal(indices, np.argsort(apart, axis=1, kind="stable")[:, :5])
    np.testing.assert_allclose(distances, np.sort(apart, axis=1)[:, :5], rtol=1e-9)


def test_the_answer_does_not_depend_on_the_other_queries(random, monkeypatch):
    index = Exemplars.build(*random)
    indices, distances = index.query(*random, k=3)
    some = np.random.default_rng(1).permutation(300)[:17]
    monkeypatch.setattr(exemplars, "BLOCK_VALUES", 1000)
    again = index.query(*(array[some] for array in random), k=3)
    np.testing.assert_array_equal(again[0], indices[some])
    np.testing.assert_array_equal(again[1], distances[some])


def test_what_is_left_is_told():
    index = Exemplars.build(np.zeros((4, 2)), ["C2", "C2", "C3", "B4"], ["C", "C", "C", "B"])
    assert index.query(np.zeros((1, 2)), ["C2"], ["C"], 1)[0].tolist() == [[3]]
    with pytest.raises(
        ValueError, match=r"^k=2 .* outside section 'C2' and patient 'C', where the index has 1 spots; fit on"
    ):
        index.query(np.zeros((1, 2)), ["C2"], ["C"], 2)
    alone = Exemplars.build(np.zeros((2, 2)), ["C2", "C2"], ["", ""])
    with pytest.raises(ValueError, match=r"outside section 'C2', where the index has no spots"):
        alone.query(np.zeros((1, 2)), ["C2"], [""], 1)


def test_no_query_is_no_answer():
    indices, distances = Exemplars.build(np.zeros((4, 2)), [""] * 4, [""] * 4).query(np.empty((0, 2)), [], [], 3)
    assert indices.shape == distances.shape == (0, 3)


@pytest.mark.parametrize(
    ("features", "section", "k", "message"),
    [
        (np.zeros((2, 3)), ["A"], 1, r"must be \(n, width\), \(n,\) and \(n,\), got \(2, 3\), \(1,\)"),
        (np.zeros((1, 3)), ["A"], 1, "features are 3 a query and 2 a spot of the index"),
        (np.full((1, 2), np.nan), ["A"], 1, "features hold NaN or infinite values"),
        (np.zeros((1, 2)), ["A"], 0, "k=0 is not allowed; pass a whole number from 1 to"),
    ],
)
def test_what_does_not_fit_is_refused(features, section, k, message):
    index = Exemplars.build(np.zeros((4, 2)), ["B"] * 4, [""] * 4)
    with pytest.raises(ValueError, match=message):
        index.query(features, section, [""] * len(section), k)
