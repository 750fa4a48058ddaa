from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stsr.options import Choice, Items, Number, Options, Rule, Switch, Text, Whole, rules, shown


@dataclass(frozen=True)
class Config(Options):
    """Options of every kind."""

    power: Annotated[float, Number(0.1, 10)] = 2.0
    widths: Annotated[tuple[int, ...], Items(Whole(1, 4096), most=3)] = (64,)
    way: Annotated[str, Choice(("near", "far"))] = "near"
    faithful: Annotated[bool, Switch()] = False
    limit: Annotated[int | None, Whole(1, optional=True)] = None


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        (Number(0, 1), np.float32(0.5), 0.5),
        (Number(0, 1), 1, 1.0),
        (Number(0, 1), np.array(0.5), 0.5),
        (Number(0, 1), torch.tensor(0.5), 0.5),
        (Whole(1, 3), np.int64(2), 2),
        (Whole(1, optional=True), None, None),
        (Whole(1, 3), np.array(2), 2),
        (Switch(), np.True_, True),
        (Items(Whole(1, 9)), np.array([1, 2]), (1, 2)),
        (Choice(("a", "b")), "b", "b"),
        (Text(), np.str_("b"), "b"),
    ],
)
def test_what_is_allowed_becomes_plain_python(rule: Rule, value, kept):
    got = rule("option", value)
    assert got == kept
    assert type(got) is type(kept)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power": True}, "power=True is not allowed; pass a number from 0.1 to 10."),
        ({"power": float("nan")}, "power=nan"),
        ({"power": 10**400}, "pass a number from 0.1 to 10"),
        ({"power": "2"}, "power='2'"),
        ({"widths": "64"}, "pass a list of 1 to 3 items, each a whole number from 1 to 4096"),
        ({"widths": ()}, "widths="),
        ({"widths": (1, 2, 3, 4)}, "widths="),
        ({"widths": (1.5,)}, "widths="),
        ({"power": np.array([2.0])}, "power=array([2.])"),
        ({"power": np.True_}, "power=np.True_"),
        ({"way": "middle"}, "way='middle' is not allowed; pass one of 'near', 'far'."),
        ({"faithful": 1}, "faithful=1 is not allowed; pass True or False."),
        ({"faithful": "abc"}, "faithful='abc'"),
        ({"way": ("near",)}, "way=('near',)"),
        ({"limit": 0}, "limit=0 is not allowed; pass a whole number of 1 or more or None."),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_sentence(options, message):
    with pytest.raises(ValueError, match="is not allowed; pass ") as error:
        Config(**options)
    assert message in str(error.value)


@given(st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(), st.lists(st.floats())))
def test_a_number_is_finite_and_within_its_range_or_refused(value):
    try:
        kept = Number(-1, 2)("option", value)
    except ValueError as error:
        assert "option=" in str(error)
    else:
        assert -1 <= kept <= 2
        assert kept == value


def test_every_field_needs_a_rule():
    @dataclass(frozen=True)
    class Careless(Options):
        power: float = 2.0

    with pytest.raises(TypeError, match="power needs one rule"):
        rules(Careless)


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        (Number(), "1e-3", 1e-3),
        (Number(), "many", "many"),
        (Whole(), "7", 7),
        (Whole(), "7.0", "7.0"),
        (Whole(optional=True), "None", None),
        (Whole(), "none", "none"),
        (Switch(), "TRUE", True),
        (Switch(), "1", "1"),
        (Items(Whole()), "[1, 2]", [1, 2]),
        (Items(Whole()), "1,2", [1, 2]),
        (Items(Text()), "[\"a\", 'b', c]", ["a", "b", "c"]),
        (Items(Whole()), "[]", []),
        (Choice(("a",)), "a", "a"),
    ],
)
def test_text_of_the_command_line_is_read_by_the_rule(rule: Rule, text, value):
    assert rule.read(text) == value


def test_a_value_is_shown_in_one_short_line():
    assert len(shown("a" * 10_000)) < 80
    assert shown("a\nb") == "'a\\nb'"
    assert "\n" not in shown(np.zeros((9, 9)))
    assert "digits" in shown(10**5000)
