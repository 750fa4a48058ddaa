"""What an option may be: a rule for each, stated once and checked before any work begins.

A verb checks an argument with ``Number(0.05, 5)("target_mpp", target_mpp)``; a method's config states its rules as
annotations, ``power: Annotated[float, Number(0.1, 10)] = 2.0``, and checks them all when it is made. Rules that several
verbs share are in :mod:`stsr.arguments`. The command line reads its text by the same rules, so this file imports no numpy.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from reprlib import Repr
from typing import Any, get_type_hints


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
            return self.accept(_scalar(value))
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{name}={shown(value)} {self.refusal}") from None

    @property
    def refusal(self) -> str:
        """What a message says after the value."""
        return f"is not allowed; pass {self.allowed}{' or None' if self.optional else ''}."

    def read(self, text: str) -> Any:
        """What text of the command line stands for; the text itself when it stands for nothing that is allowed.

        Examples
        --------
        >>> Items(Whole()).read("[64, 64]"), Number().read("1e-3"), Switch().read("True"), Number().read("many")
        ([64, 64], 0.001, True, 'many')
        """
        if self.optional and text.strip().lower() in ("none", "null"):
            return None
        try:
            return self.parse(text.strip())
        except ValueError:
            return text

    def parse(self, text: str) -> Any:
        """The value that text stands for; raises ValueError when it stands for none."""
        return text

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
            return f"{self.kind} of {_plain(self.low)} or more"
        return f"{self.kind} from {_plain(self.low)} to {_plain(self.high)}"

    def parse(self, text: str) -> float:
        """A float."""
        return float(text)

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

    def parse(self, text: str) -> int:
        """An integer."""
        return int(text)

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

    def parse(self, text: str) -> Any:
        """``true`` and ``false``, in any letters."""
        return {"true": True, "false": False}.get(text.lower(), text)

    def accept(self, value: Any) -> bool:
        """A Python truth value."""
        if not isinstance(value, bool):
            raise TypeError
        return value


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

    def parse(self, text: str) -> list[Any]:
        """Items between commas, in square brackets or not, and in quotes or not."""
        inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return [self.rule.read(item.strip().strip("\"'")) for item in inner.split(",") if item.strip()]

    def accept(self, value: Any) -> tuple[Any, ...]:
        """A tuple."""
        listed = isinstance(value, Sequence) or (hasattr(value, "__array__") and getattr(value, "ndim", 0) == 1)
        if isinstance(value, str | bytes) or not listed:
            raise TypeError
        if not self.least <= len(value) <= self.most:
            raise ValueError
        return tuple(self.rule.accept(_scalar(item)) for item in value)


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


def _scalar(value: Any) -> Any:
    """What numpy's numbers and truth values, and arrays and tensors without axes, hold; anything else as it is."""
    return value.item() if hasattr(value, "__array__") and getattr(value, "ndim", None) == 0 else value


def _plain(number: float) -> str:
    """A bound in digits where it is whole, else in six of them."""
    return str(int(number)) if abs(number) < 1e15 and number == int(number) else f"{number:g}"


def _real(value: Any, kind: type) -> Any:
    """The value, when it is a number of a kind and no truth value."""
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError
    return value
