"""Docstrings of methods are read as they are written."""

from __future__ import annotations

import doctest

import cards
import costs
import pytest
from cards import Step, networks, parts, prose, uncovered

ARCHITECTURE = """\
First network:

- ``embed``, ``norm`` ← features: a linear layer
- ``attend`` ← ``embed``, spots: attention to the
  nearest spots
- rates ← ``attend``: exponential

Second network:

- ``head`` ← features: a linear layer

There are two of the first."""


class Method:
    """What it is.

    And more of it.

    Formula
    -------
    ::

        λ = 2 y

    Use
    ---
    Never.
    """


def test_a_docstring_is_cut_at_its_headings():
    assert parts(Method) == {
        "Summary": "What it is.\n\nAnd more of it.",
        "Formula": "::\n\n    λ = 2 y",
        "Use": "Never.",
    }


def test_steps_and_titles_of_networks_are_read():
    first, second = networks(ARCHITECTURE)
    assert (first.title, second.title) == ("First network", "Second network")
    assert first.steps == (
        Step(("embed", "norm"), ("features",), "a linear layer", True),
        Step(("attend",), ("embed", "spots"), "attention to the nearest spots", True),
        Step(("rates",), ("attend",), "exponential", False),
    )
    assert first.layers == {"embed", "norm", "attend"}
    assert second.layers == {"head"}
    assert prose(ARCHITECTURE) == "There are two of the first."


def test_one_network_needs_no_title():
    (network,) = networks("- ``head`` ← features: a linear layer")
    assert network.title == ""
    assert networks("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- ``head``: a linear layer", "step='``head``: a linear layer' is not of the form"),
        ("- ``a`` ← ``b``: one\n- ``b`` ← features: another", "step='a' uses 'b' before it is made"),
    ],
)
def test_what_is_no_list_of_steps_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        networks(text)


def test_layers_without_arrays_and_arrays_without_layers_are_found():
    arrays = ["head.weight", "head.bias", "theta", "blocks.0.weight"]
    assert uncovered(arrays, ["head", "theta", "blocks"]) == (set(), set())
    assert uncovered(arrays, ["head", "theta", "block"]) == ({"blocks.0.weight"}, {"block"})
    assert uncovered(arrays, ["head.weight", "blocks.0", "theta"]) == ({"head.bias"}, set())


@pytest.mark.parametrize("module", [cards, costs])
def test_examples_in_docstrings(module):
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed
