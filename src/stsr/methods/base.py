"""The interface of methods, and the registry."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stsr.nn.training.settings import Training
from stsr.options import Options, rules
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.methods.expected import Expected, Facts

Arrays = dict[str, NDArray[Any]]

FEWEST = 20
"""Smallest number of spots on tissue that a method is trained on."""


@dataclass(frozen=True)
class Prediction:
    """Expected UMI counts of a band of cells.

    Parameters
    ----------
    mean
        (cells, genes) float32.
    sd
        (cells, genes) float32 predictive standard deviation, where the method gives one.
    latent
        (cells, dimensions) float32, where the method has one.
    """

    mean: NDArray[np.float32]
    sd: NDArray[np.float32] | None = None
    latent: NDArray[np.float32] | None = None


class Predictor(Protocol):
    """A fitted method bound to one section."""

    def __call__(self, rows: slice) -> Prediction:
        """Predict the cells of a band of grid rows, in id order."""
        ...


@runtime_checkable
class Balanced(Protocol):
    """A predictor that corrects its cells with the measured counts of spots."""

    @property
    def balance_facts(self) -> dict[str, str | float]:
        """The kind of correction, and how far sums of cells under spots are from the measured counts."""
        ...


@dataclass(frozen=True)
class MethodInfo:
    """Description of a method for the registry, the docs and the command line.

    Parameters
    ----------
    name, title
        Key in the registry, and one line of description.
    paper, year
        Where it was published.
    needs
        Any of ``"features"``, ``"image"`` and ``"spots"``: what a section must have to be predicted. All methods are fitted
        to spots; ``"spots"`` is for those that also need spots in the section they predict.
    gives
        Optional outputs: any of ``"latent"``, ``"sd"`` and ``"history"``.
    references
        Keys of its sources in ``docs/references.bib``; its page cites them.
    faithful
        Whether its config has the ``faithful`` switch, for the method exactly as published.
    fit_spots, predict_spots
        Smallest number of spots on tissue in a section that it is fitted to, with its default options, and in one that it
        predicts.
    quick
        Options with which it is fitted to a small section within seconds; the tests of all methods use them.
    """

    name: str
    title: str
    paper: str
    year: int
    needs: frozenset[str] = frozenset()
    gives: frozenset[str] = frozenset()
    references: tuple[str, ...] = ()
    faithful: bool = False
    fit_spots: int = FEWEST
    predict_spots: int = 0
    quick: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Method(ABC):
    """Base of all methods: ``fit`` learns from the spots of a section, ``on`` binds the fitted method to a section.

    A subclass sets ``info`` and ``Config`` (:class:`stsr.options.Options` with a rule for each field). All that it learns
    is in ``arrays``, so a checkpoint is the config and the arrays.
    """

    info: ClassVar[MethodInfo]
    Config: ClassVar[type[Options]]

    config: Any
    arrays: Arrays = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)

    @abstractmethod
    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Learn from the spots of ``section``; returns itself."""

    @abstractmethod
    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Bind to ``section``: predict its grid, with its spots as measured neighbours."""

    def expected(self, facts: Facts) -> Expected | None:
        """Names, shapes and ranges of the learned arrays, with which a file is checked; None for no check.

        Each array is checked before the next is generated, so later ones may depend on earlier ones in ``arrays``.
        """
        return None


METHODS: dict[str, type[Method]] = {}


def register(method: type[Method]) -> type[Method]:
    """Add a method to the registry under ``method.info.name``; use as a class decorator.

    Raises
    ------
    ValueError
        When another method has that name. The same class may be defined again, as a notebook does.
    TypeError
        When a field of its ``Config`` has no rule.
    """
    name = method.info.name
    known = METHODS.get(name, method)
    if (known.__module__, known.__qualname__) != (method.__module__, method.__qualname__):
        raise ValueError(f"method={name!r} is registered already, by {known.__module__}; choose another name.")
    rules(method.Config)
    METHODS[name] = method
    return method


def create(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """Make a method from its name and options.

    Raises
    ------
    ValueError
        For a name that is not registered, an option that the method does not have or a value that its rule does not
        allow; the message lists what is valid.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(f"method={name!r} is not known; choose one of {', '.join(sorted(METHODS))}.")
    kind = METHODS[name]
    if not isinstance(options, Mapping | None):
        raise ValueError(f"options={options!r} is not allowed; pass a dict, such as {{'option': value}}, or None.")
    options = dict(options or {})
    valid = {f.name for f in dataclasses.fields(kind.Config)}
    if unknown := [option for option in options if option not in valid]:
        raise ValueError(f"method {name!r} has no option {unknown[0]!r}; it has {', '.join(sorted(valid)) or 'none'}.")
    return kind(kind.Config(**options))
