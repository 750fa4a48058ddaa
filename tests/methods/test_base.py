"""What the options of every registered method keep to, and how a method is registered."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsr.methods import METHODS, create, register
from stsr.methods.baselines.idw import Idw
from stsr.options import Choice, Items, Number, Options, Rule, Switch, Text, Whole, rules

FIELDS = [(method, name, rule) for method in sorted(METHODS) for name, rule in rules(METHODS[method].Config).items()]

NOTHING_LIKE_IT = (object(), {"a": 1}, b"x", 1j, [[1]], np.array([[5]]), math, float)


def wrong(rule: Rule) -> list[Any]:
    """Values that a rule does not allow, whatever its range."""
    none = [] if rule.optional else [None]
    match rule:
        case Switch():
            return [*NOTHING_LIKE_IT, *none, 0, 1, "True", "", 0.5]
        case Whole():
            return [*NOTHING_LIKE_IT, *none, True, "5", 5.5, 5.0, -1, 1e30, 10**30, 10**5000, math.nan, math.inf, [5]]
        case Number():
            return [*NOTHING_LIKE_IT, *none, False, "0.5", -1, 1e30, 10**400, math.nan, math.inf, -math.inf, [0.5]]
        case Choice() | Text():
            return [*NOTHING_LIKE_IT, *none, True, 5, 0.5, "", "a" * 1000]
        case Items():
            items = [[bad] * rule.least for bad in wrong(rule.rule)]
            return [*NOTHING_LIKE_IT, *none, *items, 64, "64", [], range(10**9), {64}, True, math.nan]
    raise AssertionError(rule)


@pytest.mark.parametrize(("method", "name", "rule"), FIELDS, ids=[f"{method}.{name}" for method, name, _ in FIELDS])
def test_every_option_refuses_what_it_cannot_be_in_one_sentence(method, name, rule):
    for value in wrong(rule):
        with pytest.raises(ValueError, match=rf"^{name}=.* is not allowed; pass .*\.$") as error:
            create(method, {name: value})
        assert len(str(error.value)) < 250
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_options_survive_json(method):
    config = create(method).config
    again = create(method, json.loads(json.dumps(asdict(config)))).config
    assert again == config
    assert {name: type(value) for name, value in asdict(again).items()} == {
        name: type(value) for name, value in asdict(config).items()
    }


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4),
)


@given(st.sampled_from(FIELDS), ANYTHING)
def test_whatever_is_passed_is_refused_or_kept_as_it_was(field, value):
    method, name, _ = field
    try:
        kept = getattr(create(method, {name: value}).config, name)
    except ValueError as error:
        assert str(error).startswith((f"{name}=", f"{name} lists"))
    else:
        assert value is None or kept == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("options", ["neighbours=3", [("neighbours", 3)], 5, {"neighbours"}])
def test_options_that_are_no_dict_are_refused(options):
    with pytest.raises(ValueError, match="options=.* is not allowed; pass a dict"):
        create("idw", options)


@pytest.mark.parametrize("name", [None, 5, ["idw"], "", "IDW"])
def test_a_method_that_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="method=.* is not known; choose one of cross_attention, "):
        create(name)


def test_an_option_whose_name_is_no_text_is_refused():
    with pytest.raises(ValueError, match="method 'idw' has no option 3; it has neighbours, power"):
        create("idw", {3: 4, "power": 2})


def test_a_name_is_given_once():
    class Other(Idw):
        """Another method of the same name."""

    with pytest.raises(
        ValueError, match=r"method='idw' is registered already, by stsr.methods.baselines.idw; choose another"
    ):
        register(Other)
    assert METHODS["idw"] is Idw
    assert register(Idw) is Idw


def test_a_method_whose_options_have_no_rules_is_not_registered():
    @dataclass(frozen=True)
    class Careless(Options):
        power: Annotated[float, "from 1 to 2"] = 2.0

    class Other(Idw):
        info: ClassVar = Idw.info.__class__(name="careless", title="", paper="", year=2026)
        Config: ClassVar = Careless

    with pytest.raises(TypeError, match="Careless.power needs one rule"):
        register(Other)
    assert "careless" not in METHODS
