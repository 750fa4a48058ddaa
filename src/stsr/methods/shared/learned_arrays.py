"""What a method has learned of a section in a few arrays, as it keeps them when it is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Arrays


class Kept:
    """A dataclass of arrays, kept as ``{prefix}/{name}`` among those of a fitted method."""

    prefix: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]  # so that a type checker takes it for one

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """From the arrays of a fitted method."""
        return cls(**{field.name: arrays[f"{cls.prefix}/{field.name}"] for field in fields(cls)})

    @property
    def arrays(self) -> Arrays:
        """As a fitted method keeps them."""
        return {f"{self.prefix}/{name}": plain(value) for name, value in vars(self).items()}


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """An array in row-major order and the machine's own byte order, as files keep it and products of it are computed.

    A product with a transposed array differs in its last bits from one with a copy of it, and a file of raw memory takes
    the order of its values for row-major.
    """
    array = np.asarray(array)
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def settled(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """All arrays of a fitted method as :func:`plain` ones.

    Raises
    ------
    ValueError
        When one holds values that are not finite, or are no numbers; the message names it.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.kind not in "fiub":
            raise ValueError(f"array {name!r} holds {np.asarray(array).dtype} values, which are no plain numbers.")
        if not np.isfinite(array).all():
            raise ValueError(f"array {name!r} holds values that are not finite.")
    return {name: plain(array) for name, array in arrays.items()}
