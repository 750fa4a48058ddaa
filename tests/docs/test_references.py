"""The papers that methods name are in the bibliography."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stsr.methods import METHODS

BIBLIOGRAPHY = (Path(__file__).parents[2] / "docs" / "references.bib").read_text()
YEARS = {
    key: int(re.search(r"year = \{(\d+)\}", entry)[1])
    for key, entry in re.findall(r"@\w+\{(\w+),(.*?)\n\}", BIBLIOGRAPHY, re.S)
}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_papers_of_a_method_are_listed_and_of_its_year(name):
    info = METHODS[name].info
    assert set(info.references) <= set(YEARS)
    if info.paper != "stsr":
        assert info.year in {YEARS[key] for key in info.references}


def test_no_entry_is_left_over():
    assert set(YEARS) == {key for method in METHODS.values() for key in method.info.references}
    assert sorted(YEARS.values()) == list(YEARS.values())
