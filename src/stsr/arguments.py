"""The rules of arguments that several verbs and the command line share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, KeysView, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stsr.options import Number, Rule, Switch, Text, Whole, shown

SEED = Whole(0, 2**32 - 1)
"""Of numpy's random generators, and of torch's."""

BIN_SIZE = Number(2, 100)
"""Sides of a cell in µm that a spot's expression can be spread over with any meaning."""

TARGET_MPP = Number(0.05, 5)
"""µm per pixel that microscopes work at."""

MPP = Number(0.001, 1000, optional=True)
"""µm per pixel that an image could have; :mod:`stsr.spatial.scale` knows those of a microscope."""

LENGTH = Number(0.001, 1e6)
"""In µm."""

MIN_QV = Number(0, 1000, optional=True)
"""Quality of a transcript."""

ANGLE = Number(-360, 360)
"""Degrees."""

SHARE = Number(1e-6, 1 - 1e-6)
"""Of molecules that go to one of two parts; both get some."""

BATCH_SIZE = Whole(1, 65_536)
SWITCH = Switch()

NAME = Text(200)
"""Of an element."""

HOW_MANY = Whole(1, 1_000_000)
"""Genes."""

ALL = "all"
"""Every gene that was measured."""


@dataclass(frozen=True)
class Device(Rule):
    """The name of a device, or torch's object; whether this machine has it is asked by :func:`stsr.nn.training.device.check_device`."""

    @property
    def allowed(self) -> str:
        """The names."""
        return "'auto', 'cpu', 'cuda', 'mps', or one GPU of several as in 'cuda:1'"

    def accept(self, value: Any) -> str:
        """The name."""
        name = str(value) if _is_device(value) else value
        if not isinstance(name, str) or not re.fullmatch(r"auto|(cpu|mps)(:0)?|cuda(:\d{1,3})?", name, re.ASCII):
            raise ValueError
        return str(name)


@dataclass(frozen=True)
class Genes(Rule):
    """A choice of genes: how many, ``"all"``, or their names; those of a set are sorted.

    Examples
    --------
    >>> Genes()("genes", ("PODO1", "ENDO1"))
    ['PODO1', 'ENDO1']
    >>> Genes()("genes", [])
    Traceback (most recent call last):
        ...
    ValueError: genes=[] names no gene; pass how many (1 or more), 'all' or a list of names.
    """

    def __call__(self, name: str, value: Any) -> Any:
        """The choice as a plain Python object; the error for a list of names says which name is wrong."""
        value = super().__call__(name, value)
        if isinstance(value, list):
            self._check_names(name, value)
        return value

    @property
    def allowed(self) -> str:
        """All three."""
        return "how many (1 or more), 'all' or a list of names"

    def parse(self, text: str) -> int | str:
        """A number or ``"all"``."""
        return text if text == ALL else int(text)

    def accept(self, value: Any) -> int | str | list[Any]:
        """A number, ``"all"`` or a list."""
        if isinstance(value, str):
            if value != ALL:
                raise ValueError
            return ALL
        if isinstance(value, Iterable):
            if isinstance(value, bytes | Mapping) or getattr(value, "ndim", 1) != 1:
                raise TypeError
            if isinstance(value, Set) and not isinstance(value, KeysView):
                value = sorted(value, key=str)  # the order of a set changes from run to run
            return [str(gene) if isinstance(gene, str) else gene for gene in value]
        return HOW_MANY.accept(value)

    def _check_names(self, name: str, genes: list[Any]) -> None:
        if not genes:
            raise ValueError(f"{name}=[] names no gene; pass {self.allowed}.")
        for gene in genes:
            if not isinstance(gene, str) or not gene.strip():
                raise ValueError(f"{name} lists {shown(gene)}, which is no name of a gene; pass {self.allowed}.")


GENES = Genes()


def at_home(path: str | os.PathLike[str]) -> Path:
    """A path, in which a leading ``~`` stands for the home folder, as in a shell.

    Examples
    --------
    >>> at_home("~/section.zarr") == Path.home() / "section.zarr"
    True
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # nobody's home
        return Path(path)


def _is_device(value: Any) -> bool:
    """Whether a value is a ``torch.device``, without loading torch."""
    return type(value).__module__ == "torch" and type(value).__name__ == "device"
