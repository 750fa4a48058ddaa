"""The synthetic section, whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stsr.bench.sources.base import Genes, Source

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@dataclass(frozen=True)
class Synthetic(Source):
    """The synthetic section, whose truth is known, to try out the bench."""

    has_truth: ClassVar = True

    side: float = 2000.0

    @property
    def genes(self) -> Genes:
        """All genes."""
        return "all"

    def read(self, store: Path) -> SpatialData:
        """Make the section."""
        from stsr.datasets.synthetic import synthetic_section

        return synthetic_section(size=(self.side, self.side), store=store, overwrite=True)

    def bins(self, sdata: SpatialData) -> AnnData:
        """The table of the truth."""
        return sdata.tables["truth_008um"]

    def truth(self, sdata: SpatialData, genes: list[str]) -> AnnData:
        """The table of the truth."""
        return sdata.tables["truth_008um"][:, genes].copy()
