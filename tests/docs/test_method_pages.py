"""Pages of methods, as far as they can be checked without building them."""

from __future__ import annotations

import pytest

from stsr.methods import METHODS

pytest.importorskip("sphinx")


@pytest.fixture
def pages():
    import method_pages

    return method_pages


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_page_has_all_parts(name, pages):
    text = pages.page(METHODS[name])
    headings = [
        above
        for above, line in zip(text.split("\n"), text.split("\n")[1:], strict=False)
        if set(line) in ({"-"}, {"="})
    ]
    wanted = ["Formula", "When to use it", "What is from the source, and what differs", "Cost", "Options", "References"]
    assert [heading for heading in headings[1:] if heading != "Architecture"] == wanted
    assert headings[0].startswith(f"``{name}``: ")
    assert ("Architecture" in headings) == (f".. image:: {name}.svg" in text) == ("history" in METHODS[name].info.gives)


def test_pages_are_written_once_and_old_ones_removed(pages, tmp_path):
    class App:
        srcdir = tmp_path

    folder = tmp_path / pages.FOLDER
    folder.mkdir(parents=True)
    (folder / "gone.rst").touch()
    pages.write(App)
    assert {file.stem for file in folder.glob("*.rst")} == set(METHODS)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    pages.write(App)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_titles_begin_with_a_small_letter_unless_they_are_names(pages):
    assert pages.page(METHODS["idw"]).startswith("``idw``: inverse-distance weighting")
