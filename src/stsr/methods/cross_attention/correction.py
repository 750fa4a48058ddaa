"""How the spots of a section correct what was predicted: by their signal, exactly, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.methods.cross_attention.diffusion import Diffusion
from stsr.methods.cross_attention.exact_balance import ExactBalance
from stsr.methods.cross_attention.half_grid_sums import thinned
from stsr.methods.cross_attention.residual_field import ResidualField, Signal
from stsr.methods.cross_attention.spot_steps import CellSteps, Edges, SpotSteps, batches
from stsr.methods.shared.requirements import whole_spots

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from stsr.section import Section

BALANCES = ("signal", "exact", "none")
"""See :class:`SignalCorrection` and :class:`~stsr.methods.cross_attention.exact_balance.ExactBalance`."""

Sums = Callable[[sp.csr_array], NDArray[np.float32]]
"""(rows, genes) sums of the rates of cells before they are spread, with (rows, cells) weights."""


class CellCorrection(Protocol):
    """The correction of some cells."""

    @property
    def known(self) -> sp.csr_array:
        """(cells, spots) share of the variance of a cell's rate that the counts of a spot lessen."""
        ...

    def factor(self, genes: slice) -> NDArray[np.float32]:
        """(cells, genes) what predictions are multiplied by, for some genes."""
        ...


class Correction(Protocol):
    """Corrects predicted rates by the counts of a section's spots."""

    @property
    def deviation(self) -> float:
        """How far the sum under a spot is from what it measured, as a share of it, in the median."""
        ...

    def at(self, xy: NDArray[np.float64]) -> CellCorrection:
        """The correction of cells at (cells, 2) places in µm."""
        ...


@dataclass(frozen=True, eq=False)
class CellSignal:
    """The correction of some cells by :class:`SignalCorrection`."""

    signal: Signal
    steps: CellSteps

    @property
    def known(self) -> sp.csr_array:
        """As the signal has it."""
        return self.signal.known

    def factor(self, genes: slice = slice(None)) -> NDArray[np.float32]:
        """(cells, genes) what predictions are multiplied by, for some genes."""
        factor = self.signal.factor(genes)
        factor *= self.steps.factor(genes)
        return factor


@dataclass(frozen=True, eq=False)
class SignalCorrection:
    """What spots measured beyond the prediction is added as far as it is signal, and steps at their edges are taken out.

    Parameters
    ----------
    field
        What spots measured beyond the prediction.
    steps
        Steps of the prediction at the edges of spots.
    deviation
        See :class:`Correction`.
    """

    field: ResidualField
    steps: SpotSteps
    deviation: float

    @classmethod
    def estimate(cls, section: Section, pitch: float, diffusion: Diffusion, sums: Sums) -> Self:
        """Learn from the spots of a section, ``pitch`` µm apart, and from what is predicted before it is spread."""
        edges, grid = Edges.of(section, pitch), section.grid
        weights = [thinned(part, diffusion, grid) for part in (section.footprint, edges.true, edges.displaced)]
        parts = np.cumsum([len(section.spots), len(edges.seen)])
        predicted, steps, elsewhere = np.split(sums(sp.csr_array(sp.vstack(weights))), parts)
        field = ResidualField.estimate(section, pitch, predicted)
        softness = diffusion.sigma * grid.bin_size
        taken = SpotSteps.estimate(
            section, field, edges, softness=softness, predicted=predicted, steps=steps, elsewhere=elsewhere
        )
        used = np.flatnonzero(whole_spots(section))
        off = [
            (predicted[some] * field.at(section.spots[some]).factor() * taken.under(some)).sum(axis=1)
            / np.maximum(section.counts[some].sum(axis=1), 1)
            - 1
            for some in batches(used)
        ]
        return cls(field, taken, float(np.median(np.abs(np.concatenate(off)))) if len(used) else 0.0)

    def at(self, xy: NDArray[np.float64]) -> CellSignal:
        """The correction of cells at (cells, 2) places in µm."""
        return CellSignal(self.field.at(xy), self.steps.at(xy))


def correction(
    balance: str, section: Section, spots: cKDTree, pitch: float, diffusion: Diffusion, sums: Sums
) -> Correction:
    """Compare what spots measured with what is predicted for them.

    ``spots`` is the tree of their centres, and ``pitch`` the distance between them, in µm.
    """
    if balance == "exact":
        return ExactBalance(section, spots, pitch, sums(diffusion.footprint(section.footprint, section.grid)))
    return SignalCorrection.estimate(section, pitch, diffusion, sums)
