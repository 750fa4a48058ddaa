"""Expression as networks are trained on it: scaled to 0 to 1, or standardised, gene by gene, and back to counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Arrays
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.section import Section


@dataclass(frozen=True, eq=False)
class MinMax:
    """Scaled expression: ``(y - low) / (high - low)``.

    Parameters
    ----------
    low, high
        (genes,) the counts of a spot that become 0 and 1.
    spot_cells
        Cells in such a spot.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    spot_cells: float

    @classmethod
    def learn(cls, section: Section, *, faithful: bool) -> Self:
        """From zero to each gene's largest count; as published, from its smallest.

        Zero lets a cell be empty of a gene that every spot has, and the cells on tissue of a disc at the border add up to
        what it measured.
        """
        counts = section.counts.toarray()
        low = counts.min(axis=0) if faithful else np.zeros_like(counts[0])
        return cls(low, np.maximum(counts.max(axis=0), low + 1), section.spot_cells)

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """From the :attr:`arrays` that a method kept."""
        return cls(arrays["low"], arrays["high"], float(arrays["spot_cells"][0]))

    @property
    def arrays(self) -> Arrays:
        """``low``, ``high`` and ``spot_cells``, for a method to keep."""
        return {"low": self.low, "high": self.high, "spot_cells": np.array([self.spot_cells])}

    @staticmethod
    def expected(facts: Facts) -> Expected:
        """What :attr:`arrays` are."""
        yield "low", Array((facts.genes,), low=0)
        yield "high", Array((facts.genes,), low=0)
        yield "spot_cells", Array((1,), low=LEAST)

    def scaled(self, section: Section) -> NDArray[np.float32]:
        """(spots, genes) from the counts of ``section``."""
        return ((section.counts.toarray() - self.low) / (self.high - self.low)).astype(np.float32, copy=False)

    def counts(self, scaled: NDArray[Any]) -> NDArray[np.float32]:
        """(cells, genes) expected counts per cell, of whatever section: those of a spot learned from, over its cells."""
        counts = self.low + scaled * (self.high - self.low)
        return (counts / self.spot_cells).astype(np.float32, copy=False)


def standard(expressed: NDArray[np.float32], *, faithful: bool) -> Arrays:
    """(genes,) mean and standard deviation of expression (spots, genes); as published, 0 and 1."""
    centre, spread = expressed.mean(axis=0), np.maximum(expressed.std(axis=0), 1e-3)
    if faithful:
        centre, spread = np.zeros_like(centre), np.ones_like(spread)
    return {"centre": centre, "spread": spread}
