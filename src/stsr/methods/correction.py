"""How the spots of a section correct what was predicted: by their signal, exactly, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.methods.exact_balance import ExactBalance
from stsr.methods.residual_field import ResidualField

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from stsr.section import Section

BALANCES = ("signal", "exact", "none")
"""See :class:`~stsr.methods.residual_field.ResidualField` and :class:`~stsr.methods.exact_balance.ExactBalance`."""


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


def correction(
    balance: str, section: Section, spots: cKDTree, pitch: float, predicted: NDArray[np.float32]
) -> Correction:
    """Compare what spots measured with the (spots, genes) counts predicted for them.

    ``spots`` is the tree of their centres, and ``pitch`` the distance between them, in µm.
    """
    if balance == "exact":
        return ExactBalance(section, spots, pitch, predicted)
    return ResidualField.estimate(section, pitch, predicted)
