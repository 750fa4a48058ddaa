"""What benchmarks/publish.py commits: page and README are those of the committed tables, and their words hold."""

from __future__ import annotations

import pytest
from toys.bench import load_script

from stsr.bench.report.overview import read_summaries

publish = load_script("publish")


@pytest.fixture(scope="module")
def folders():
    return sorted(publish.RESULTS.iterdir())


def test_the_committed_page_and_readme_are_those_of_the_committed_tables(folders):
    assert publish.PAGE.read_text(encoding="utf-8") == publish.page(folders), "run: python benchmarks/publish.py"
    text = publish.README.read_text(encoding="utf-8")
    assert text == publish.readme(text, folders), "run: python benchmarks/publish.py"


def test_the_readme_is_changed_between_its_marks_alone(folders):
    text = publish.readme(f"above\n{publish.BEGIN}old | 0.999\n{publish.END}below\n", folders)
    assert text.startswith(f"above\n{publish.BEGIN}\nThe default, ") and text.endswith(f"\n{publish.END}below\n")
    assert "0.999" not in text
    assert text == publish.readme(text, folders)


@pytest.mark.parametrize("marks", ["", "begin", "end", "end begin", "begin begin end", "begin end end"])
def test_a_readme_without_its_marks_is_refused(marks):
    text = "".join({"begin": publish.BEGIN, "end": publish.END}[mark] for mark in marks.split())
    with pytest.raises(ValueError, match="put them back"):
        publish.readme(text, [])


def test_what_the_page_says_of_shared_noise_holds(folders):
    means = read_summaries(*folders).set_index(["section", "where", "scale_um", "setting", "method"]).sort_index()
    score = means.loc[("kidney", "all", 8.0), "pearson"]
    assert score["shared_noise", "idw"] > score["shared_noise", "ridge"]
    assert score["truth", "idw"] < score["truth", "ridge"]
