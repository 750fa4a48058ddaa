"""Base of the sections of a bench."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

Genes = list[str] | int | str
"""Names of genes, how many, or ``"all"``."""

GENES = 300
"""Number of highly variable genes to score, for a section without a gene list of its own."""


@dataclass(frozen=True)
class Source(ABC):
    """A section that can be read into a store.

    Parameters
    ----------
    name
        Its name in tables and folders.
    argument
        Argument of :func:`stsr.bench.sources.find.find_sources` that finds it.

    Attributes
    ----------
    has_truth
        Whether there are true bins.
    relative
        Whether these were measured by another platform or on another section, so that scores compare methods only.
    bin_size, scales
        Cells that are predicted, and blocks of true bins that are scored, in µm.
    """

    has_truth: ClassVar[bool]
    relative: ClassVar[bool] = False
    bin_size: ClassVar[float] = 8.0
    scales: ClassVar[tuple[float, ...]] = (8.0, 16.0, 32.0, 56.0)

    name: str
    argument: str

    @property
    def dataset_id(self) -> str:
        """Its name in characters that the names of elements allow."""
        return self.name.replace("/", "_")

    @property
    def files(self) -> list[Path]:
        """All files it is read from."""
        return []

    @property
    def genes(self) -> Genes:
        """The genes it is scored on."""
        return GENES

    @property
    def others(self) -> list[Source]:
        """The other sections of its folder."""
        return []

    @abstractmethod
    def read(self, store: Path) -> SpatialData:
        """Read the section into a store."""

    def bins(self, sdata: SpatialData) -> AnnData | None:
        """Where the bins of the truth lie, without counts; None when there is no truth."""
        return None

    def truth(self, sdata: SpatialData, genes: list[str]) -> AnnData | None:
        """Counts of the true bins for those of ``genes`` that were measured there; None when there is no truth."""
        return None
