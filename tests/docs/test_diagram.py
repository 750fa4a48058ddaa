"""Drawings of networks: every step once, none on top of another, no arrow through a box."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from cards import ARCHITECTURE, networks, parts
from diagram import draw, in_words

from stsr.methods import METHODS

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {name: found for name, method in METHODS.items() if (found := networks(parts(method).get(ARCHITECTURE, "")))}


def boxes(drawing):
    """(n, 4) left, top, right and bottom of all boxes."""
    rects = [rect for rect in drawing.iter(f"{SVG}rect") if "class" in rect.attrib]
    x, y, width, height = (np.array([float(rect.get(key)) for rect in rects]) for key in ("x", "y", "width", "height"))
    return np.column_stack([x, y, x + width, y + height])


def points(path):
    """(n, 2) points along a path of cubic curves and straight lines."""
    found, here = [], None
    for kind, numbers in re.findall(r"([MLC])([^MLC]*)", path):
        ends = np.array(re.findall(r"-?\d+", numbers), dtype=float).reshape(-1, 2)
        t = np.linspace(0, 1, 50)[:, None]
        if kind == "L":
            found.append(here + t * (ends[0] - here))
        elif kind == "C":
            a, b, c = ends
            found.append((1 - t) ** 3 * here + 3 * t * (1 - t) ** 2 * a + 3 * t**2 * (1 - t) * b + t**3 * c)
        here = ends[-1]
    return np.concatenate(found)


@pytest.mark.parametrize("name", DRAWN)
def test_boxes_lie_apart_and_arrows_beside_them(name):
    drawing = ElementTree.fromstring(draw(DRAWN[name]))
    places = boxes(drawing)
    assert len(places) == sum(
        len(network.steps)
        + len({i for s in network.steps for i in s.inputs} - {n for s in network.steps for n in s.names})
        for network in DRAWN[name]
    )
    assert (places[:, :2] >= 0).all()
    assert (places[:, 2] <= float(drawing.get("width"))).all()
    assert (places[:, 3] <= float(drawing.get("height"))).all()
    for a, b in combinations(places, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    arrows = [path.get("d") for path in drawing.iter(f"{SVG}path") if "style" not in path.attrib]
    assert len(arrows) >= sum(len(network.steps) for network in DRAWN[name])
    for arrow in map(points, arrows):
        for left, top, right, bottom in places:
            inside = (arrow > (left + 1, top + 1)).all(axis=1) & (arrow < (right - 1, bottom - 1)).all(axis=1)
            assert not inside.any()


def test_a_step_is_below_its_inputs_and_text_is_escaped():
    (network,) = networks("- ``a`` ← x: first\n- ``b`` ← x: second\n- ``c`` ← ``a``, ``b``: a < b & more")
    drawing = ElementTree.fromstring(draw([network]))
    texts = {text.text: float(text.get("y")) for text in drawing.iter(f"{SVG}text")}
    assert texts["x"] < texts["a"] == texts["b"] < texts["c"]
    assert "a < b & more" in texts


def test_it_is_told_in_words_too():
    found = networks("Net:\n\n- ``a`` ← x, y: first\n- ``b`` ← ``a``: second")
    assert in_words(found) == "Net: a from x, y; b from a."
