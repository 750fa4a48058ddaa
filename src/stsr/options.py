"""What an option may be: a rule for each, stated where the option is declared and checked before any work begins.

A verb checks an argument with ``Number(0.05, 5)("target_mpp", target_mpp)``; a method's config states its rules as
annotations, ``power: Annotated[float, Number(0.1, 10)] = 2.0``, and checks them all when it is made.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from reprlib import Repr
from typing import Any, get_type_hints

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """What one option may be.

    Parameters
    ----------
    optional
        Whether None is allowed too.
    """

    optional: bool = False

    def __call__(self, name: str, value: Any) -> Any:
        """The value as a plain Python object.

        Raises
        ------
        ValueError
            When it is not allowed; the message names the option, the value and what is allowed.
        """
        if value is None and self.optional:
            return None
        try:
            return self.accept(value)
        except (TypeError, ValueError, OverflowError):
            none = " or None" if self.optional else ""
            raise ValueError(f"{name}={shown(value)} is not allowed; pass {self.allowed}{none}.") from None

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What is allowed, as messages say it after "pass"."""

    @abstractmethod
    def accept(self, value: Any) -> Any:
        """The value as a plain Python object; raises ValueError or TypeError when it is not allowed."""


@dataclass(frozen=True)
class Number(Rule):
    """A finite number from ``low`` to ``high``; a truth value is none.

    Examples
    --------
    >>> Number(0, 1)("held_out", 0.1)
    0.1
    >>> Number(0, 1)("held_out", 5)
    Traceback (most recent call last):
        ...
    ValueError: held_out=5 is not allowed; pass a number from 0 to 1.
    """

    low: float = -math.inf
    high: float = math.inf

    kind = "a number"

    @property
    def allowed(self) -> str:
        """Its range."""
        if math.isinf(self.low) and math.isinf(self.high):
            return f"{self.kind} that is finite"
        if math.isinf(self.high):
            return f"{self.kind} of {self.low:g} or more"
        return f"{self.kind} from {self.low:g} to {self.high:g}"

    def accept(self, value: Any) -> Any:
        """A Python float."""
        return self._within(float(_real(value, Real)))

    def _within(self, number: Any) -> Any:
        if not math.isfinite(number) or not self.low <= number <= self.high:
            raise ValueError
        return number


@dataclass(frozen=True)
class Whole(Number):
    """A whole number from ``low`` to ``high``; ``5.0`` is none."""

    kind = "a whole number"

    def accept(self, value: Any) -> int:
        """A Python integer."""
        return self._within(int(_real(value, Integral)))


@dataclass(frozen=True)
class Switch(Rule):
    """True or False; 1 and ``"yes"`` are neither."""

    @property
    def allowed(self) -> str:
        """Both."""
        return "True or False"

    def accept(self, value: Any) -> bool:
        """A Python truth value."""
        if not isinstance(value, bool | np.bool_):
            raise TypeError
        return bool(value)


@dataclass(frozen=True)
class Choice(Rule):
    """One of some names."""

    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The names."""
        return f"one of {', '.join(map(repr, self.names))}"

    def accept(self, value: Any) -> str:
        """One of the names."""
        if not isinstance(value, str) or value not in self.names:
            raise ValueError
        return value


@dataclass(frozen=True)
class Text(Rule):
    """Text that is not empty, of at most ``most`` characters."""

    most: int = 64

    @property
    def allowed(self) -> str:
        """How long."""
        return f"text of 1 to {self.most} characters"

    def accept(self, value: Any) -> str:
        """The text."""
        if not isinstance(value, str) or not 1 <= len(value) <= self.most:
            raise ValueError
        return str(value)


@dataclass(frozen=True)
class Items(Rule):
    """A sequence, each item of which follows ``rule``; text is none.

    Examples
    --------
    >>> Items(Whole(1, 4096))("widths", [64, 64])
    (64, 64)
    """

    rule: Rule = Number()
    least: int = 1
    most: int = 64

    @property
    def allowed(self) -> str:
        """How many of what."""
        many = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        return f"a list of {many} items, each {self.rule.allowed}"

    def accept(self, value: Any) -> tuple[Any, ...]:
        """A tuple."""
        if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
            raise TypeError
        if not self.least <= len(value) <= self.most:
            raise ValueError
        return tuple(self.rule.accept(item) for item in value)


@dataclass(frozen=True)
class Options:
    """Base of the configs of methods: a frozen dataclass whose every field is annotated with its rule."""

    def __post_init__(self) -> None:
        for name, rule in rules(type(self)).items():
            object.__setattr__(self, name, rule(name, getattr(self, name)))


def rules(config: type[Any]) -> dict[str, Rule]:
    """The rule of every field of a config.

    Raises
    ------
    TypeError
        When a field has none.
    """
    hints = get_type_hints(config, include_extras=True)
    found = {}
    for field in fields(config):
        stated = [rule for rule in getattr(hints[field.name], "__metadata__", ()) if isinstance(rule, Rule)]
        if len(stated) != 1:
            raise TypeError(f"{config.__name__}.{field.name} needs one rule, such as Annotated[int, Whole(1, 100)].")
        found[field.name] = stated[0]
    return found


def shown(value: Any) -> str:
    """A value as messages show it: in one line, and the beginning and end of a long one.

    Examples
    --------
    >>> shown("a" * 1000)
    "'aaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaa'"
    """
    short = Repr()
    short.maxstring = short.maxother = 56
    try:
        return " ".join(short.repr(value).split())
    except ValueError:  # Python writes out no whole number of thousands of digits
        return "a number of more digits than Python shows"


def _real(value: Any, kind: type) -> Any:
    """The value, when it is a number of a kind and no truth value."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, kind):
        raise TypeError
    return value
