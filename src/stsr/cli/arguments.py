"""Types of arguments for argparse, made from the rules that check the arguments of functions."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stsr.arguments import at_home
from stsr.options import Rule, shown


def argument(rule: Rule) -> Callable[[str], Any]:
    """Type for argparse: reads and checks the text of an argument by a rule.

    Examples
    --------
    >>> from stsr.options import Whole
    >>> argument(Whole(0, 9))("7")
    7
    """

    def read(text: str) -> Any:
        try:
            return rule("", rule.read(text))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{shown(text)} {rule.refusal}") from None

    return read


def path(text: str) -> Path:
    """A path. An empty text is an error; Python would take it for the working directory."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not allowed; pass a path.")
    return at_home(text)


def between_commas(text: str) -> list[str]:
    """The parts of a list between commas; those inside square brackets belong together.

    Examples
    --------
    >>> between_commas("idw,stack:methods=[idw,ridge],ridge")
    ['idw', 'stack:methods=[idw,ridge]', 'ridge']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
