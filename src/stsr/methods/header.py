"""Header of a model file: all facts of a model but its arrays, checked field by field before use."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stsr.identity import Identity
from stsr.methods.base import Method, create
from stsr.options import Number, Whole

FORMAT = 3
"""Version of the header; raised when a reader of another version could misread a file."""

LONGEST = 200
"""Largest number of characters of a name (gene, option or curve) and of an option that is text."""

MOST_ITEMS = 64
"""Largest number of items of an option that is a list."""

LARGEST = 1e9
"""Largest absolute value of an option."""

BIN_SIZES = (0.05, 10_000)
"""Smallest and largest side of a cell in µm."""

REASONS = {
    1: "",
    2: " (it may hold arrays in another order than they were learned in, and would predict wrong numbers)",
}
"""Why older files are not read."""


@dataclass(frozen=True)
class Header:
    """Facts of a model; see :class:`stsr.methods.model.Model`.

    Parameters
    ----------
    method, options
        Name of the method, and its config as plain numbers, strings and lists.
    genes, bin_size, encoder, seed
        As in the model.
    history
        Losses by curve; values that are not finite are read back as NaN.
    """

    method: str
    options: Mapping[str, Any]
    genes: tuple[str, ...]
    bin_size: float
    encoder: Identity | None
    seed: int
    history: Mapping[str, Sequence[float]]

    @property
    def text(self) -> str:
        """As JSON."""
        history = {
            name: [value if math.isfinite(value) else None for value in map(float, losses)]
            for name, losses in self.history.items()
        }
        content = {"format": FORMAT, **asdict(self), "history": history}
        return json.dumps(content, allow_nan=False)

    @classmethod
    def read(cls, text: str) -> Header:
        """From JSON.

        Raises
        ------
        ValueError
            For another format, and when a field is missing, unknown, of another type or out of range.
        """
        facts = parse(text)
        if not isinstance(facts, dict):
            raise ValueError("its header is not a table of fields")
        version = Whole(1)("format", facts.pop("format", None))
        if version != FORMAT:
            remedy = "update stsr" if version > FORMAT else "fit the model again"
            raise ValueError(f"it has format {version}{REASONS.get(version, '')}, this stsr reads {FORMAT}; {remedy}")
        wanted = set(cls.__dataclass_fields__)
        if wrong := sorted(wanted ^ set(facts)):
            raise ValueError(f"its header {'lacks' if wrong[0] in wanted else 'has an unknown'} {wrong[0][:LONGEST]!r}")
        return cls(
            method=_name("method", facts["method"]),
            options={_name("option", key): _option(key, value) for key, value in _table("options", facts).items()},
            genes=_genes(facts["genes"]),
            bin_size=Number(*BIN_SIZES)("bin_size", facts["bin_size"]),
            encoder=None if facts["encoder"] is None else Identity.of(facts["encoder"]),
            seed=Whole(-(2**63), 2**64)("seed", facts["seed"]),
            history={_name("history", key): _losses(value) for key, value in _table("history", facts).items()},
        )

    def create(self) -> Method:
        """The method, not fitted yet.

        Raises
        ------
        ValueError
            When it is not registered, does not have these options, or needs an encoder and has none, or the reverse.
        """
        try:
            method = create(self.method, self.options)
        except (TypeError, OverflowError, ZeroDivisionError) as error:
            raise ValueError(f"its options do not fit method={self.method!r}") from error
        if ("features" in method.info.needs) != (self.encoder is not None):
            raise ValueError(
                f"method={self.method!r} {'needs an' if self.encoder is None else 'does not use an'} encoder"
            )
        return method


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


def _table(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(facts[name], dict):
        raise ValueError(f"{name} is not a table")
    return facts[name]


def _name(what: str, value: Any) -> str:
    """A short name of printable characters."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        raise ValueError(f"{what} has a name that is empty, too long or not printable")
    return value


def _genes(value: Any) -> tuple[str, ...]:
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


def _option(name: str, value: Any) -> Any:
    """An option's value: text, a switch, a finite number, nothing, or a short list of such; lists become tuples."""
    if isinstance(value, list):
        if len(value) > MOST_ITEMS or any(isinstance(item, list) for item in value):
            raise ValueError(f"option {name!r} is not a list of at most {MOST_ITEMS} values")
        return tuple(_option(name, item) for item in value)
    if value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) <= LONGEST):
        return value
    if isinstance(value, int | float) and abs(value) <= LARGEST:
        return value
    raise ValueError(f"option {name!r} has a value that is not allowed")


def _losses(value: Any) -> list[float]:
    if not isinstance(value, list):
        raise ValueError("history is not a table of lists")
    return [math.nan if loss is None else Number()("a loss", loss) for loss in value]
