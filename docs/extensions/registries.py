"""Tables of what can be chosen, made from the registries themselves: the directives ``methods`` and ``encoders``."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Methods(SphinxDirective):
    """All registered methods in one table, then the options of each."""

    def run(self) -> list[nodes.Node]:
        """Read the register."""
        from stsr.methods import METHODS

        infos = [kind.info for kind in METHODS.values()]
        head = ("name", "what it does", "published", "needs", "gives", "as published")
        rows = [
            (
                [nodes.literal(text=i.name)],
                i.title,
                f"{i.paper} ({i.year})",
                ", ".join(sorted(i.needs)),
                ", ".join(sorted(i.gives)),
                [nodes.literal(text="faithful")] if i.faithful else "",
            )
            for i in infos
        ]
        return [table(head, rows), *(options_of(kind) for kind in METHODS.values())]


class Encoders(SphinxDirective):
    """All registered encoders in one table."""

    def run(self) -> list[nodes.Node]:
        """Read the register."""
        from stsr.encoders import ENCODERS

        head = ("name", "what it is", "features", "µm/px", "licence", "gated", "source")
        rows = [
            (
                [nodes.literal(text=i.name)],
                i.title,
                str(i.dim),
                f"{i.mpp:g}",
                i.licence,
                "yes" if i.gated else "",
                [nodes.literal(text=i.source)] if i.source else "",
            )
            for i in ENCODERS.values()
        ]
        return [table(head, rows)]


def options_of(kind: Any) -> nodes.section:
    """A section with the options of one method."""
    name = kind.info.name
    section = nodes.section(ids=[f"method-{name.replace('_', '-')}"], names=[name])
    section += nodes.title("", "", nodes.literal(text=name))
    section += nodes.paragraph(text=inspect.getdoc(kind).partition("\n")[0])
    if fields := dataclasses.fields(kind.Config):
        told = parameters(inspect.getdoc(kind.Config))
        rows = [([nodes.literal(text=f.name)], [nodes.literal(text=repr(f.default))], told[f.name]) for f in fields]
        section += table(("option", "default", "meaning"), rows)
    return section


def parameters(doc: str) -> dict[str, str]:
    """The descriptions in the ``Parameters`` section of a numpydoc docstring, by name.

    Names that share a line (``first, second``) share the description too.
    """
    section = re.search(r"^Parameters\n-+\n(.*?)(?=\n\n\S|\n\S+\n-+\n|\Z)", doc, re.S | re.M)
    told = {}
    for names, text in re.findall(r"^(\S.*)\n((?:[ ]+.*\n?)+)", section[1] if section else "", re.M):
        for name in names.partition(":")[0].split(","):
            told[name.strip()] = " ".join(text.split()).replace("``", "")
    return told


def table(head: Sequence[str], rows: Iterable[Sequence[str | list[nodes.Node]]]) -> nodes.table:
    """Lay out cells, each plain text or inline nodes."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *(row(cells) for cells in rows))
    return nodes.table("", group, classes=["colwidths-auto"])


def row(cells: Sequence[str | list[nodes.Node]]) -> nodes.row:
    """One row of a table."""
    content = [[nodes.Text(cell)] if isinstance(cell, str) else cell for cell in cells]
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *inline)) for inline in content))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("methods", Methods)
    app.add_directive("encoders", Encoders)
    return {"parallel_read_safe": True}
