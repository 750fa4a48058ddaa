"""Training targets: expression as shares, logarithms, scaled to 0 to 1 or standardised, gene by gene, and back to counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Arrays
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.standardise import moments
from stsr.section import Section

LEAST_SD = 1e-3
"""Smallest standard deviation of expression that is divided by."""

LEAST_COUNT = 1e-6
"""Smallest predicted total of a gene that is divided by."""


def shares(section: Section) -> NDArray[np.float32]:
    """(spots, genes) share of each gene in the library of its spot."""
    return section.counts.toarray() / np.maximum(section.library, 1)[:, None].astype(np.float32)


def log_normalised(section: Section, total: float) -> NDArray[np.float32]:
    """(spots, genes) log(1 + counts), of libraries scaled to ``total``: as scanpy's ``normalize_total`` and ``log1p``."""
    scale = np.maximum(section.library, 1) / total
    return np.log1p(section.counts.toarray() / scale[:, None]).astype(np.float32)


def log2_counts(section: Section) -> NDArray[np.float32]:
    """(spots, genes) log2(1 + counts)."""
    return np.log2(section.counts.toarray() + 1).astype(np.float32)


def gene_factor(
    measured: NDArray[np.floating], predicted: NDArray[np.floating], *, most: float = np.inf
) -> NDArray[np.floating]:
    """(genes,) factors, ``most`` at most, that make ``predicted`` counts of genes (genes,) equal to ``measured`` ones.

    Examples
    --------
    >>> gene_factor(np.array([6.0, 0.0, 5.0]), np.array([3.0, 0.0, 0.1]), most=10)
    array([ 2.,  0., 10.])
    """
    return np.minimum(measured / np.maximum(predicted, LEAST_COUNT), most)


@dataclass(frozen=True, eq=False)
class MinMax:
    """Scaled expression: ``(y - low) / (high - low)``.

    Parameters
    ----------
    low, high
        (genes,) counts of a spot that are scaled to 0 and to 1.
    spot_cells
        Cells of a spot.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    spot_cells: float

    @classmethod
    def learn(cls, section: Section, *, faithful: bool) -> Self:
        """From zero to each gene's largest count; as published, from its smallest.

        With zero, a cell can have no counts of a gene that all spots have, and the cells on tissue of a disc at the border
        add up to its measured counts.
        """
        counts = section.counts.toarray()
        low = counts.min(axis=0) if faithful else np.zeros_like(counts[0])
        return cls(low, np.maximum(counts.max(axis=0), low + 1), section.spot_cells)

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """From the :attr:`arrays` of a fitted method."""
        return cls(arrays["low"], arrays["high"], float(arrays["spot_cells"][0]))

    @property
    def arrays(self) -> Arrays:
        """The learned arrays ``low``, ``high`` and ``spot_cells``."""
        return {"low": self.low, "high": self.high, "spot_cells": np.array([self.spot_cells])}

    @staticmethod
    def expected(facts: Facts) -> Expected:
        """Shapes and ranges of :attr:`arrays`."""
        yield "low", Array((facts.genes,), low=0)
        yield "high", Array((facts.genes,), low=0)
        yield "spot_cells", Array((1,), low=LEAST)

    def scaled(self, section: Section) -> NDArray[np.float32]:
        """(spots, genes) from the counts of ``section``."""
        return ((section.counts.toarray() - self.low) / (self.high - self.low)).astype(np.float32, copy=False)

    def counts(self, scaled: NDArray[Any]) -> NDArray[np.float32]:
        """(cells, genes) expected counts per cell: unscaled counts of a spot, over the cells of the spots learned from."""
        counts = self.low + scaled * (self.high - self.low)
        return (counts / self.spot_cells).astype(np.float32, copy=False)


def standard(expressed: NDArray[np.float32], *, faithful: bool) -> Arrays:
    """(genes,) mean and standard deviation of expression (spots, genes); as published, 0 and 1."""
    centre, spread = moments(expressed, least=LEAST_SD)
    if faithful:
        centre, spread = np.zeros_like(centre), np.ones_like(spread)
    return {"centre": centre, "spread": spread}
