"""A recipe is data, and one that makes no sense is refused."""

from __future__ import annotations

import dataclasses
import sys

import pytest

from stsr.nn.training.recipe import LOSSES, Recipe
from stsr.nn.training.regression import LOSSES as FUNCTIONS
from stsr.options import rules


def test_it_is_plain_data_with_a_rule_for_each_option():
    recipe = Recipe()
    assert Recipe(**dataclasses.asdict(recipe)) == recipe
    assert set(rules(Recipe)) == set(dataclasses.asdict(recipe))


def test_every_loss_has_its_function():
    assert tuple(FUNCTIONS) == LOSSES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lamb"}, "optimizer='lamb' is not allowed; pass one of 'adam', 'adamw', 'sgd'"),
        ({"batch": 0}, "batch=0 is not allowed; pass a whole number from 1 to 10000000 or None"),
        (
            {"optimizer": "adamw", "momentum": 0.5},
            "momentum=0.5 has no use with optimizer='adamw'; leave it out or pass opti",
        ),
        ({"period": 3}, "period=3 has no use with schedule='none'; .* pass schedule='step' or schedule='cosine'"),
        ({"schedule": "cosine", "factor": 0.5}, "factor=0.5 has no use with schedule='cosine'"),
        ({"schedule": "step", "period": 2, "factor": 0.5, "power": 2.0}, "power=2.0 has no use with schedule='step'"),
        ({"schedule": "step", "factor": 0.5}, "period=None is not allowed with schedule='step'; pass a number"),
        ({"schedule": "step", "period": 2}, "factor=None is not allowed with schedule='step'"),
        ({"schedule": "polynomial"}, "power=None is not allowed with schedule='polynomial'"),
        ({"keep": "last", "patience": 3}, "patience=3 has no use with keep='last'; leave it out or pass keep='best'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        Recipe(**options)
    assert "\n" not in str(caught.value)


def test_cosine_needs_no_period():
    assert Recipe(schedule="cosine").period is None
    assert Recipe(schedule="cosine", period=10).period == 10


def test_it_is_read_without_torch(monkeypatch):
    for name in [name for name in sys.modules if name == "torch" or name == "stsr.nn.training.recipe"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it now fails
    from stsr.nn.training.recipe import Recipe as Again

    assert Again().optimizer == "adam"
