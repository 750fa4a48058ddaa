"""Tables of what can be chosen, made from the registries: directives ``methods``, ``method-options``, ``encoders``."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Cell = str | list[nodes.Node]
"""Plain text or inline nodes."""


class Methods(SphinxDirective):
    """All registered methods in one table."""

    def run(self) -> list[nodes.Node]:
        """Read the register."""
        from stsr.methods import METHODS

        head = ("name", "what it does, and its source", "needs", "gives")
        rows = [
            (
                [link(f"generated/methods/{i.name}", i.name)],
                f"{i.title} ({i.paper}, {i.year})",
                ", ".join(sorted(i.needs)),
                ", ".join(sorted(i.gives)),
            )
            for i in (kind.info for kind in METHODS.values())
        ]
        return [table(head, rows)]


class MethodOptions(SphinxDirective):
    """The options of the method that it names."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Read the config and its docstring."""
        from stsr.methods import METHODS

        return [options_of(METHODS[self.arguments[0]])]


class Encoders(SphinxDirective):
    """All registered encoders in one table."""

    def run(self) -> list[nodes.Node]:
        """Read the register."""
        from stsr.encoders import ENCODERS

        head = ("name", "what it is, and its source", "features", "licence")
        rows = [
            (
                [nodes.literal(text=i.name)],
                [nodes.Text(f"{i.title} "), nodes.literal(text=i.source)],
                str(i.dim),
                f"{i.licence}, gated" if i.gated else i.licence,
            )
            for i in ENCODERS.values()
        ]
        return [table(head, rows)]


def options_of(method: Any) -> nodes.Element:
    """A table of the options of a method, or a sentence where it has none."""
    from stsr.options import rules

    told, allowed = parameters(inspect.getdoc(method.Config)), rules(method.Config)
    rows = [
        (
            [nodes.literal(text=field.name)],
            [nodes.literal(text=repr(field.default))],
            allowed[field.name].allowed + (" or None" if allowed[field.name].optional else ""),
            told[field.name],
        )
        for field in dataclasses.fields(method.Config)
    ]
    return table(("option", "default", "allowed", "meaning"), rows) if rows else nodes.paragraph("", "It has none.")


def parameters(doc: str) -> dict[str, str]:
    """The descriptions in the ``Parameters`` section of a numpydoc docstring, by name.

    Names that share a line (``first, second``) share the description too.
    """
    section = re.search(r"^Parameters\n-+\n(.*?)(?=\n\n\S|\Z)", doc, re.S | re.M)
    told = {}
    for names, text in re.findall(r"^(\S.*)\n((?:[ ]+.*\n?)+)", section[1] if section else "", re.M):
        for name in names.split(","):
            told[name.strip()] = " ".join(text.split()).replace("``", "")
    return told


def link(document: str, text: str) -> nodes.Node:
    """A link to a page of these docs, resolved when all pages are read."""
    target = addnodes.pending_xref(
        "", refdomain="std", reftype="doc", reftarget=f"/{document}", refexplicit=True, refwarn=True
    )
    target += nodes.literal(text=text)
    return target


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> nodes.table:
    """Lay out cells under a head."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *(row(cells) for cells in rows))
    return nodes.table("", group, classes=["colwidths-auto"])


def row(cells: Sequence[Cell]) -> nodes.row:
    """One row of a table."""
    inline = [[nodes.Text(cell)] if isinstance(cell, str) else cell for cell in cells]
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *parts)) for parts in inline))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("methods", Methods)
    app.add_directive("method-options", MethodOptions)
    app.add_directive("encoders", Encoders)
    return {"parallel_read_safe": True}
