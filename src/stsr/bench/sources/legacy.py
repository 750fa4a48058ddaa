"""Sections of legacy Spatial Transcriptomics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stsr.bench.sources.base import Source

if TYPE_CHECKING:
    from spatialdata import SpatialData


@dataclass(frozen=True)
class LegacySection(Source):
    """A section of a folder of legacy Spatial Transcriptomics: spots of 100 µm, 200 µm apart, and no truth."""

    has_truth: ClassVar = False
    bin_size: ClassVar = 16.0

    folder: Path
    section: str

    @classmethod
    def sections(cls, folder: Path) -> list[str]:
        """The sections that a folder holds."""
        found = (file.name.removesuffix("_selection.tsv") for file in sorted(folder.glob("*_selection.tsv")))
        return [section for section in found if list(folder.glob(f"{section}.tsv*"))]

    @property
    def files(self) -> list[Path]:
        """Counts, selection and image."""
        return sorted({*self.folder.glob(f"{self.section}.*"), *self.folder.glob(f"{self.section}_*")})

    @property
    def others(self) -> list[Source]:
        """All other sections of the folder."""
        folder = self.name.rpartition("/")[0]
        return [
            LegacySection(f"{folder}/{known}", str(self.folder / known), self.folder, known)
            for known in self.sections(self.folder)
            if known != self.section
        ]

    def read(self, store: Path) -> SpatialData:
        """Read the spots and their image."""
        from stsr.pp.read_st import read_st

        return read_st(self.folder, section=self.section, store=store, dataset_id=self.dataset_id, overwrite=True)
