"""What the docstring of a method says, in parts, for its page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SUMMARY, FORMULA, ARCHITECTURE, SOURCE, USE = "Summary", "Formula", "Architecture", "Source", "Use"
"""Parts of a docstring; the first has no heading, and only networks have an architecture."""

HEADING = re.compile(r"^(\S.*)\n-{3,}$", re.M)
BULLET = re.compile(r"^- (.+(?:\n  .+)*)$", re.M)
STEP = re.compile(r"^(?P<names>[^←]+) ← (?P<inputs>[^:]+): (?P<what>.+)$")


@dataclass(frozen=True)
class Step:
    """One step of a network.

    Parameters
    ----------
    names
        Its layers, as attributes of the network, or one name of something that is computed without learned weights.
    inputs
        Names of steps before it, or of what the network is given.
    what
        What it does.
    learned
        Whether ``names`` are layers with learned weights; they are in double backquotes then.
    """

    names: tuple[str, ...]
    inputs: tuple[str, ...]
    what: str
    learned: bool


@dataclass(frozen=True)
class Network:
    """The steps of one network, in their order, and its title where a method has several."""

    title: str
    steps: tuple[Step, ...]

    @property
    def layers(self) -> frozenset[str]:
        """Names of all layers with learned weights."""
        return frozenset(name for step in self.steps if step.learned for name in step.names)


def parts(method: Any) -> dict[str, str]:
    """The docstring of a method by headings; what stands before the first is the summary.

    Examples
    --------
    >>> class Twice:
    ...     '''Twice the count.
    ...
    ...     Formula
    ...     -------
    ...     λ = 2 y
    ...     '''
    >>> parts(Twice)
    {'Summary': 'Twice the count.', 'Formula': 'λ = 2 y'}
    """
    pieces = HEADING.split(inspect.getdoc(method) or "")
    found = {SUMMARY: pieces[0].strip()}
    for heading, text in zip(pieces[1::2], pieces[2::2], strict=True):
        found[heading] = text.strip()
    return found


def networks(architecture: str) -> list[Network]:
    """The networks that bullets such as ``- head ← tokens: a linear layer`` describe.

    A line before a list of bullets that ends with a colon is the title of a network.

    Raises
    ------
    ValueError
        When a bullet has another form, or an input in double backquotes is no step before it.

    Examples
    --------
    >>> networks("- ``head`` ← features: a linear layer")[0].layers
    frozenset({'head'})
    """
    found, title = [], ""
    for block in _blocks(architecture):
        if block.startswith("- "):
            steps = tuple(_step(" ".join(bullet.split())) for bullet in BULLET.findall(block))
            found.append(Network(title, steps))
        title = block.removesuffix(":") if block.endswith(":") else ""
    for network in found:
        _check(network)
    return found


def prose(architecture: str) -> str:
    """What an architecture says beside its lists of steps and their titles."""
    return "\n\n".join(block for block in _blocks(architecture) if not block.startswith("- ") and block[-1] != ":")


def uncovered(arrays: Iterable[str], layers: Iterable[str]) -> tuple[set[str], set[str]]:
    """Names of learned arrays that belong to none of the layers, and layers to which none belongs."""
    arrays, layers = set(arrays), set(layers)

    def owned(array: str, layer: str) -> bool:
        return array == layer or array.startswith(f"{layer}.")

    return (
        {array for array in arrays if not any(owned(array, layer) for layer in layers)},
        {layer for layer in layers if not any(owned(array, layer) for array in arrays)},
    )


def _blocks(text: str) -> list[str]:
    return [block for block in re.split(r"\n\n+", text.strip()) if block]


def _step(text: str) -> Step:
    match = STEP.match(text)
    if match is None:
        raise ValueError(f"step={text!r} is not of the form 'name ← inputs: what it does'; write it so.")
    names = match["names"]
    return Step(_names(names), _names(match["inputs"]), match["what"].replace("``", ""), names.startswith("``"))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().strip("`") for name in text.split(","))


def _check(network: Network) -> None:
    """Refuse steps that come before their inputs."""
    known = {name for step in network.steps for name in step.names}
    seen: set[str] = set()
    for step in network.steps:
        if late := [name for name in step.inputs if name in known - seen]:
            raise ValueError(f"step={step.names[0]!r} uses {late[0]!r} before it is made; put the steps in order.")
        seen.update(step.names)
