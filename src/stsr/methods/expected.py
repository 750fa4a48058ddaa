"""Names, shapes and ranges of learned arrays, with which a file is checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

LEAST = 1e-9
"""Smallest value of an array that is divided by."""


@dataclass(frozen=True)
class Array:
    """Shape, range and type that an array must have.

    Parameters
    ----------
    shape
        Its sizes. A named size, such as ``"spots"``, is any number from 1 up, but the same wherever the name is used.
    low, high
        Smallest and largest allowed value.
    kind
        ``"f"`` for floating-point numbers, ``"i"`` for integers.
    """

    shape: tuple[int | str, ...]
    low: float = -np.inf
    high: float = np.inf
    kind: str = "f"

    def check(self, name: str, array: NDArray[Any], sizes: dict[str, int]) -> None:
        """Refuse an array that does not fit; ``sizes`` are the named sizes so far, to which new ones are added.

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
            raise ValueError(f"array {name!r} has the shape {array.shape}, but the method needs {wanted}")
        if array.dtype.kind != self.kind:
            raise ValueError(f"array {name!r} has the type {array.dtype}, which the method does not use")
        if not ((array >= self.low) & (array <= self.high)).all():
            raise ValueError(f"array {name!r} has values outside {self.low:g} to {self.high:g}")


Expected = Iterable[tuple[str, Array]]
"""Names of arrays and their requirements; each is checked before the next is generated."""


@dataclass(frozen=True)
class Facts:
    """Sizes of a fitted model that are not among its options.

    Parameters
    ----------
    genes, features
        Number of genes and of features.
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
        Named sizes, filled while checking.
    """

    arrays: Mapping[str, NDArray[Any]]
    sizes: dict[str, int] = field(default_factory=dict)

    def check(self, expected: Expected) -> None:
        """Refuse arrays unless they are exactly the expected ones.

        Raises
        ------
        ValueError
            Names the first array that is missing, does not fit or is not expected.
        """
        seen = set()
        for name, array in expected:
            if name not in self.arrays:
                raise ValueError(f"array {name!r} is missing")
            array.check(name, self.arrays[name], self.sizes)
            seen.add(name)
        if extra := sorted(set(self.arrays) - seen):
            raise ValueError(f"array {extra[0]!r} is not one of the method")


def network(make: Callable[[], nn.Module], prefix: str) -> Iterator[tuple[str, Array]]:
    """Names and shapes of a network's weights.

    The network is made on torch's ``meta`` device, without memory, so options from a damaged file cannot exhaust memory.

    Raises
    ------
    ValueError
        When no network can be made from the options.
    """
    import torch

    try:
        with torch.device("meta"):
            state = make().state_dict()
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError, MemoryError) as error:
        raise ValueError("no network can be made from the options") from error
    for name, value in state.items():
        kind = "f" if value.dtype.is_floating_point else "i"
        yield prefix + name, Array(tuple(value.shape), kind=kind)
