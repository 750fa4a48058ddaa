"""What tissue expresses on average: the scale on which spots are shown to a network, and what it expects without any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.learned_arrays import LearnedArrays
from stsr.methods.shared.standardise import standardised
from stsr.methods.shared.targets import log_normalised
from stsr.section import Section


@dataclass(frozen=True, eq=False)
class Typical(LearnedArrays):
    """Averages over the spots that a method was trained on.

    Parameters
    ----------
    density
        (genes + 1,) counts per cell; the library size, all genes together, is the last.
    depth
        (1,) median library size per cell.
    centre, spread
        (genes,) mean and standard deviation of log expression.
    """

    prefix: ClassVar = "typical"

    density: NDArray[np.float32]
    depth: NDArray[np.float32]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def learn(cls, section: Section) -> Self:
        """Average over the spots of ``section``."""
        log, counts = log_normalised(section, section.depth), counts_and_library(section)
        depth = np.array([section.depth / section.spot_cells], dtype=np.float32)
        return cls(counts.mean(axis=0) / section.spot_cells, depth, log.mean(axis=0), log.std(axis=0) + 1e-3)

    @classmethod
    def expected(cls, facts: Facts) -> Expected:
        """What is kept of it."""
        yield f"{cls.prefix}/density", Array((facts.genes + 1,), low=0)
        yield f"{cls.prefix}/depth", Array((1,), low=LEAST)
        yield f"{cls.prefix}/centre", Array((facts.genes,))
        yield f"{cls.prefix}/spread", Array((facts.genes,), low=LEAST)

    def profile(self, section: Section) -> NDArray[np.float32]:
        """(spots, genes) standardised log expression."""
        return standardised(log_normalised(section, section.depth), self.centre, self.spread)

    def density_in(self, section: Section) -> NDArray[np.float32]:
        """(genes + 1,) counts per cell at the sequencing depth of ``section``; of those trained on where it has no spots."""
        if not len(section.spots):
            return self.density
        return self.density * np.float32(section.depth / section.spot_cells / self.depth[0])


def counts_and_library(section: Section) -> NDArray[np.float32]:
    """(spots, genes + 1) counts, and the library size in the last column."""
    return np.column_stack([section.counts.toarray(), section.library]).astype(np.float32)
