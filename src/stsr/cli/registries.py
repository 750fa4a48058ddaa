"""``stsr methods`` and ``stsr encoders``: lists of the methods and of the image encoders."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from stsr.cli.output import say


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``stsr methods`` and ``stsr encoders``."""
    commands.add_parser("methods", parents=[common], help="list the methods").set_defaults(handler=show_methods)
    commands.add_parser("encoders", parents=[common], help="list the image encoders").set_defaults(
        handler=show_encoders
    )


def show_methods(args: argparse.Namespace) -> None:
    """Print the register of methods."""
    from stsr.methods import METHODS

    infos = [method.info for method in METHODS.values()]
    rows = [
        (i.name, i.title, f"{i.paper} ({i.year})", ", ".join(sorted(i.needs)), ", ".join(sorted(i.gives)))
        for i in infos
    ]
    say(columns(("name", "what it does", "paper", "needs", "gives"), rows))


def show_encoders(args: argparse.Namespace) -> None:
    """Print the register of encoders."""
    from stsr.encoders import ENCODERS

    rows = [
        (i.name, i.title, str(i.dim), f"{i.mpp:g}", i.licence, "yes" if i.gated else "no", i.source)
        for i in ENCODERS.values()
    ]
    say(columns(("name", "title", "features", "µm/px", "licence", "gated", "source"), rows))
    say("Any model of timm works too: --encoder timm:NAME.")


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay rows of text out in left-aligned columns under a head."""
    table = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table)
