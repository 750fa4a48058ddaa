"""Lets napoleon read our docstrings as prose where it expects ``type: description``.

napoleon takes each line under ``Returns`` for a type, and what stands before the first colon of an attribute's docstring
too. Ours tell in sentences what is returned, and leave types to the annotations.
"""

from __future__ import annotations

from typing import Any, get_args, get_origin

import numpy as np
from sphinx.application import Sphinx

BEFORE_NAPOLEON = 400
HEAD = ["Returns", "-------"]


def as_prose(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of a docstring in place."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # napoleon looks for a type on the first line only: an empty comment has none
        return
    start = next((i + 2 for i in range(len(lines)) if lines[i : i + 2] == HEAD), None)
    if start is None or indented(lines[start + 1 :]):
        return
    rest = range(start, len(lines) - 1)
    stop = next((i for i in rest if lines[i] and set(lines[i + 1]) == {"-"}), len(lines))
    lines[start:stop] = [":", *(f"    {line}" if line else "" for line in lines[start:stop])]


def indented(lines: list[str]) -> bool:
    """Whether a description follows, as under the name of a returned value."""
    return bool(lines) and lines[0].startswith(" ")


def short_type(annotation: Any, config: Any) -> str | None:
    """``ndarray of float64`` for what would be written as ``ndarray[tuple[Any, ...], dtype[float64]]``."""
    if get_origin(annotation) is not np.ndarray:
        return None
    kind = get_args(get_args(annotation)[1])[0]
    # "str_" would be read as a link to "str".
    return f"ndarray of {kind.__name__.rstrip('_')}" if isinstance(kind, type) else "ndarray"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register what is done to docstrings and types."""
    app.connect("autodoc-process-docstring", as_prose, priority=BEFORE_NAPOLEON)
    app.config["typehints_formatter"] = short_type
    return {"parallel_read_safe": True}
