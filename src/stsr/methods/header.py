"""Header of a model file: all facts of a model but its arrays, checked field by field before use."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stsr.identity import Identity
from stsr.methods.base import Method, create
from stsr.methods.header_fields import LONGEST, as_genes, as_losses, as_name, as_option, as_table, parse
from stsr.options import Number, Whole

FORMAT = 3
"""Version of the header; raised when a reader of another version could misread a file."""


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
            method=as_name("method", facts["method"]),
            options={
                as_name("option", key): as_option(key, value) for key, value in as_table("options", facts).items()
            },
            genes=as_genes(facts["genes"]),
            bin_size=Number(*BIN_SIZES)("bin_size", facts["bin_size"]),
            encoder=None if facts["encoder"] is None else Identity.of(facts["encoder"]),
            seed=Whole(-(2**63), 2**64)("seed", facts["seed"]),
            history={as_name("history", key): as_losses(value) for key, value in as_table("history", facts).items()},
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
