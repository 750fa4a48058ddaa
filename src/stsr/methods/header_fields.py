"""Fields of a model file's header, each read and checked before use."""

from __future__ import annotations

import json
import math
from typing import Any

from stsr.options import Number

LONGEST = 200
"""Largest number of characters of a name (gene, option or curve) and of an option that is text."""

MOST_ITEMS = 64
"""Largest number of items of an option that is a list."""

LARGEST = 1e9
"""Largest absolute value of an option."""


def parse(text: str) -> Any:
    """Strict JSON: no key twice, no NaN or infinity.

    Raises
    ------
    ValueError
        For anything else.
    """

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) < len(pairs):
            raise ValueError
        return found

    def constant(name: str) -> float:
        raise ValueError

    try:
        return json.loads(text, object_pairs_hook=table, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise ValueError("its header is not valid JSON") from error


def as_table(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """A table of fields of its own."""
    if not isinstance(facts[name], dict):
        raise ValueError(f"{name} is not a table")
    return facts[name]


def as_name(what: str, value: Any) -> str:
    """A short name of printable characters."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        raise ValueError(f"{what} has a name that is empty, too long or not printable")
    return value


def as_genes(value: Any) -> tuple[str, ...]:
    """Names of genes, each once."""
    if not isinstance(value, list) or not value:
        raise ValueError("genes is not a list of names")
    genes = tuple(value)
    if not all(isinstance(gene, str) and 0 < len(gene) <= LONGEST and _written(gene) for gene in genes):
        raise ValueError("genes holds entries that are not valid names")
    if len(set(genes)) < len(genes):
        raise ValueError("a gene is listed twice")
    return genes


def _written(name: str) -> bool:
    """Whether a name has no lone surrogates, which UTF-8 cannot encode."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def as_option(name: str, value: Any) -> Any:
    """An option's value: text, a switch, a finite number, nothing, or a short list of such; lists become tuples."""
    if isinstance(value, list):
        if len(value) > MOST_ITEMS or any(isinstance(item, list) for item in value):
            raise ValueError(f"option {name!r} is not a list of at most {MOST_ITEMS} values")
        return tuple(as_option(name, item) for item in value)
    if value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) <= LONGEST):
        return value
    if isinstance(value, int | float) and abs(value) <= LARGEST:
        return value
    raise ValueError(f"option {name!r} has a value that is not allowed")


def as_losses(value: Any) -> list[float]:
    """A curve of losses; null stands for NaN."""
    if not isinstance(value, list):
        raise ValueError("history is not a table of lists")
    return [math.nan if loss is None else Number()("a loss", loss) for loss in value]
