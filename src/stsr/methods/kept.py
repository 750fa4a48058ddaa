"""What a method has learned of a section in a few arrays, as it keeps them when it is fitted."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar, Self

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
        return {f"{self.prefix}/{name}": value for name, value in vars(self).items()}
