"""Learned arrays: what a fitted method keeps of a section, in the layout of the model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Arrays


class LearnedArrays:
    """A dataclass of learned arrays; a fitted method keeps each as ``{prefix}/{name}``."""

    prefix: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]  # subclasses are dataclasses; for the type checker

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """From the arrays of a fitted method."""
        return cls(**{field.name: arrays[f"{cls.prefix}/{field.name}"] for field in fields(cls)})

    @property
    def arrays(self) -> Arrays:
        """By the names under which a fitted method keeps them."""
        return {f"{self.prefix}/{name}": plain(value) for name, value in vars(self).items()}


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """An array in row-major order and native byte order.

    safetensors writes memory as it is and reads it as row-major. Matrix products with a transposed view also differ in
    their last bits from those with a row-major copy, so a loaded model would predict other values.
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
            raise ValueError(f"array {name!r} holds {np.asarray(array).dtype} values, which are not numbers.")
        if not np.isfinite(array).all():
            raise ValueError(f"array {name!r} holds values that are not finite.")
    return {name: plain(array) for name, array in arrays.items()}
