"""Which arrays a fitted method keeps: what a file must hold before anything is built from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

LEAST = 1e-9
"""Smallest value of what something is divided by."""


@dataclass(frozen=True)
class Array:
    """What one array must be.

    Parameters
    ----------
    shape
        Its sizes; one that is a name, such as ``"spots"``, may be any number from 1 up, the same wherever it is named.
    low, high
        What its values lie between.
    kind
        ``"f"`` for floating point numbers, ``"i"`` for whole ones.
    """

    shape: tuple[int | str, ...]
    low: float = -np.inf
    high: float = np.inf
    kind: str = "f"

    def check(self, name: str, array: NDArray[Any], sizes: dict[str, int]) -> None:
        """Refuse another array; ``sizes`` are those known by name, to which this one's are added.

        Raises
        ------
        ValueError
            When shape, type or values do not fit.
        """
        fits = array.ndim == len(self.shape) and all(
            size == (sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted) and size > 0
            for size, wanted in zip(array.shape, self.shape, strict=True)
        )
        if not fits:
            wanted = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in self.shape)
            raise ValueError(f"array {name!r} is {array.shape} where the method keeps {wanted}")
        if array.dtype.kind != self.kind:
            raise ValueError(f"array {name!r} is of type {array.dtype}, which the method does not keep")
        if not ((array >= self.low) & (array <= self.high)).all():
            raise ValueError(f"array {name!r} has values outside {self.low:g} to {self.high:g}")


Expected = Iterable[tuple[str, Array]]
"""Names of arrays and what they must be; each is checked before the next is asked for."""


@dataclass(frozen=True)
class Facts:
    """What a fitted model says of itself, beside its options.

    Parameters
    ----------
    genes, features
        How many.
    bin_size
        Side of a cell in µm.
    """

    genes: int
    features: int
    bin_size: float


@dataclass
class Checklist:
    """Checks arrays one by one.

    Parameters
    ----------
    arrays
        All arrays of a method.
    sizes
        Sizes by name, as they become known.
    """

    arrays: Mapping[str, NDArray[Any]]
    sizes: dict[str, int] = field(default_factory=dict)

    def check(self, expected: Expected) -> None:
        """Refuse arrays that are not all expected ones and nothing else.

        Raises
        ------
        ValueError
            Naming the first that is missing, does not fit or is left over.
        """
        seen = set()
        for name, array in expected:
            if name not in self.arrays:
                raise ValueError(f"array {name!r} is missing")
            array.check(name, self.arrays[name], self.sizes)
            seen.add(name)
        if extra := sorted(set(self.arrays) - seen):
            raise ValueError(f"array {extra[0]!r} is none that the method keeps")


def network(make: Callable[[], nn.Module], prefix: str) -> Iterator[tuple[str, Array]]:
    """Arrays of a network's weights.

    The network is made without memory for its weights, so that options from a file cannot ask for more than it holds.

    Raises
    ------
    ValueError
        When the options make no network.
    """
    import torch

    try:
        with torch.device("meta"):
            state = make().state_dict()
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError, MemoryError) as error:
        raise ValueError("the options make no network") from error
    for name, value in state.items():
        whole = not value.dtype.is_floating_point
        yield prefix + name, Array(tuple(value.shape), kind="i" if whole else "f")
