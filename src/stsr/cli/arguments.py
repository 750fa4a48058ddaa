"""Types of arguments, made of the rules that the verbs check them by."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stsr.arguments import at_home
from stsr.options import Rule, shown


def argument(rule: Rule) -> Callable[[str], Any]:
    """What argparse calls with the text of an argument, and tells the refusal of.

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
    """A path; no text is none, though Python takes it for the folder that one is in."""
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
