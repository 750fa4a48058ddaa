"""A page for each registered method, written from its docstring before Sphinx looks for pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cards import ARCHITECTURE, FORMULA, SOURCE, SUMMARY, USE, networks, parts, prose
from costs import costs, duration
from diagram import draw, in_words
from sphinx.application import Sphinx

FOLDER = Path("generated", "methods")


def page(method: Any) -> str:
    """The page of a method, in reStructuredText."""
    return "\n".join(_lines(method)) + "\n"


def _lines(method: Any) -> Iterator[str]:
    info, said = method.info, parts(method)
    words = info.title if info.title[1].isupper() else info.title[0].lower() + info.title[1:]
    title = f"``{info.name}``: {words}"
    yield from (title, "=" * len(title), "", said[SUMMARY], "")
    yield from (
        f":needs: {', '.join(sorted(info.needs)) or 'nothing'}",
        f":gives: {', '.join(('mean', *sorted(info.gives)))}",
    )
    yield f":fewest spots: {info.fit_spots} to learn from, {info.predict_spots or 'none'} where it predicts"
    yield ""
    yield from _section(FORMULA, said[FORMULA])
    if ARCHITECTURE in said:
        yield from (ARCHITECTURE, "-" * len(ARCHITECTURE), "")
        yield from (f".. image:: {info.name}.svg", f"   :alt: {in_words(networks(said[ARCHITECTURE]))}", "")
        yield from (
            "Filled boxes have learned weights; names are those in the code.",
            "",
            prose(said[ARCHITECTURE]),
            "",
        )
    yield from _section("When to use it", said[USE])
    yield from _section("What is from the source, and what differs", said[SOURCE])
    yield from _section("Cost", "\n".join(_cost(info.name)))
    yield from _section("Options", f".. method-options:: {info.name}")
    if info.references:
        cited = " ".join(f":footcite:t:`{key}`" for key in info.references)
        yield from _section("References", f"{cited}\n\n.. footbibliography::")


def _section(title: str, text: str) -> Iterator[str]:
    yield from (title, "-" * len(title), "", text, "")


def _cost(name: str) -> Iterator[str]:
    """A table of times and memory, or a sentence where the method was not run."""
    rows = list(costs(name))
    if not rows:
        yield "It is in none of the committed benchmarks yet."
        return
    yield "Fit and prediction with default options on two processor cores, as in :doc:`/benchmarks`; *as published* is"
    yield "extrapolated to the epochs and networks of the publication."
    yield from ("", ".. list-table::", "   :header-rows: 1", "")
    head = ("section", "spots", "cells", "genes", "time", "as published", "memory")
    body = (
        (c.section, f"{c.spots:,}", f"{c.cells:,}", f"{c.genes:,}", duration(c.seconds))
        + ("" if c.published is None else duration(c.published), f"{c.memory:.1f} GB")
        for c in rows
    )
    for cells in (head, *body):
        yield from (f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(cells))


def write(app: Sphinx) -> None:
    """Write the pages and drawings of all methods, those that changed only, and remove those of methods that are gone."""
    from stsr.methods import METHODS

    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{name}.rst": page(method) for name, method in METHODS.items()}
    for name, method in METHODS.items():
        if drawn := networks(parts(method).get(ARCHITECTURE, "")):
            files[folder / f"{name}.svg"] = draw(drawn)
    for file in set(folder.iterdir()) - set(files):
        file.unlink()
    for file, text in files.items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages when the build begins."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
