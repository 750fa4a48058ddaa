"""What a run took, and what it would have taken as published."""

from __future__ import annotations

import pytest

from stsr.bench.cost import Clock, as_published
from stsr.methods import create


def test_a_clock_tells_seconds_and_memory():
    told = Clock().read()
    assert 0 <= told["seconds"] < 5
    assert 0.01 < told["peak_gb"] < 1000


def test_published_epochs_take_as_long_each_as_those_that_were_trained():
    history = {"train": [1.0] * 20, "held_out": [1.0] * 20, "train 2": [1.0] * 30, "held_out 2": [1.0] * 30}
    assert as_published(100.0, history, create("istar").config) == pytest.approx(100 / 50 * 400 * 5)


def test_a_network_trained_before_the_others_counts_with_its_own_published_epochs():
    config = create("spabit", {"faithful": True}).config
    whole = {"train": [1.0] * 1000, "train graph": [1.0] * 3000}
    assert as_published(100.0, whole, config) == pytest.approx(100)
    short = {"train": [1.0] * 10, "train graph": [1.0] * 30}
    assert as_published(100.0, short, config) == pytest.approx(100 * 4000 / 40)
    assert as_published(100.0, {"train": [1.0] * 40}, create("spabit").config) == pytest.approx(100 * 1000 / 40)


def test_what_was_not_published_or_not_trained_has_no_such_time():
    assert as_published(100.0, {"train": [1.0]}, create("cross_attention").config) is None
    assert as_published(100.0, {}, create("idw").config) is None
    assert as_published(100.0, {}, create("istar").config) is None
