"""Where the sections of a bench come from: folders whose layout is recognised, and the synthetic one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stsr.datasets.paths import VARIABLE, path
from stsr.options import Number

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

Genes = list[str] | int | str
"""Names of genes, how many, or ``"all"``."""

COUNTS = "filtered_feature_bc_matrix.h5"
HD = Path("visium_hd", "binned_outputs", "square_008um")
IMAGES = (".tif", ".tiff", ".btf", ".png", ".jpg", ".jpeg")

SYNTHETIC = "synthetic"
"""Argument of the synthetic section; ``synthetic:800`` is one of 800 x 800 µm."""

BOX = "box:"
"""Beginning of the argument of a part of a section; see :mod:`stsr.bench.boxes`."""

DEGRADED = "degraded:"
"""Beginning of the argument of a section whose image is made worse; see :mod:`stsr.bench.degraded`."""

SIDE = Number(400, 50_000)
"""µm of a synthetic section."""

GENES = 300
"""Highly variable genes that a section without a list of its own is scored on."""

LAYOUTS = (
    "visium/ and visium_hd/binned_outputs/square_008um/ (spots and true bins), visium_spots.tsv and xenium_cells.tsv.gz "
    "(spots and true cells of the serial section), or X.tsv.gz, X_selection.tsv and X.jpg for every section X (legacy ST)"
)


@dataclass(frozen=True)
class Source(ABC):
    """A section that can be read into a store.

    Parameters
    ----------
    name
        What tables and folders call it.
    argument
        What :func:`find_sources` finds it by.

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
        """Its name in letters that elements may carry."""
        return self.name.replace("/", "_")

    @property
    def files(self) -> list[Path]:
        """All that it is read from."""
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


@dataclass(frozen=True)
class SpotsAndBins(Source):
    """A Visium folder and the Visium HD bins of the same tissue, as Space Ranger leaves both."""

    has_truth: ClassVar = True

    folder: Path

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether a folder has this layout."""
        return (folder / "visium").is_dir() and (folder / HD).is_dir()

    @property
    def files(self) -> list[Path]:
        """The whole Visium folder, and counts and positions of the bins."""
        spots = sorted(file for file in (self.folder / "visium").rglob("*") if file.is_file())
        return [*spots, self.folder / HD / COUNTS, self.folder / HD / "spatial" / "tissue_positions.parquet"]

    @property
    def genes(self) -> Genes:
        """Those of ``genes_300.txt``, or of the first list of genes in the folder."""
        lists = sorted(self.folder.glob("genes_*.txt"), key=lambda file: (file.name != "genes_300.txt", file.name))
        return lists[0].read_text(encoding="utf-8").split() if lists else GENES

    def read(self, store: Path) -> SpatialData:
        """Read the spots and their image."""
        from stsr.pp.read_visium import read_visium

        visium = self.folder / "visium"
        images = [file for file in sorted(visium.iterdir()) if file.suffix.lower() in IMAGES]
        if not images:
            raise FileNotFoundError(f"{visium} holds no full-resolution H&E ({', '.join(IMAGES)}); put it there.")
        return read_visium(visium, fullres_image=images[0], store=store, dataset_id=self.dataset_id, overwrite=True)

    def bins(self, sdata: SpatialData) -> AnnData:
        """Rows, columns and centroids of the bins in tissue."""
        import pandas as pd
        from anndata import AnnData

        positions = pd.read_parquet(self.folder / HD / "spatial" / "tissue_positions.parquet").set_index("barcode")
        positions = positions[positions["in_tissue"] == 1]
        located = AnnData(obs=positions[["array_row", "array_col"]])
        located.obsm["spatial"] = positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy()
        return located

    def truth(self, sdata: SpatialData, genes: list[str]) -> AnnData:
        """The bins with their counts."""
        import scanpy as sc

        counts = sc.read_10x_h5(self.folder / HD / COUNTS)
        counts.var_names_make_unique()
        counts = counts[:, [gene for gene in genes if gene in counts.var_names]].copy()
        located = self.bins(sdata)[counts.obs_names]
        counts.obs, counts.obsm["spatial"] = located.obs, located.obsm["spatial"]
        return counts


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


@dataclass(frozen=True)
class Synthetic(Source):
    """The synthetic section, whose truth is known: to try the bench on."""

    has_truth: ClassVar = True

    side: float = 2000.0

    @property
    def genes(self) -> Genes:
        """All of them."""
        return "all"

    def read(self, store: Path) -> SpatialData:
        """Make it."""
        from stsr.datasets.synthetic import synthetic_section

        return synthetic_section(size=(self.side, self.side), store=store, overwrite=True)

    def bins(self, sdata: SpatialData) -> AnnData:
        """The table of the truth."""
        return sdata.tables["truth_008um"]

    def truth(self, sdata: SpatialData, genes: list[str]) -> AnnData:
        """The table of the truth."""
        return sdata.tables["truth_008um"][:, genes].copy()


def find_sources(argument: str) -> list[Source]:
    """The sections behind an argument of ``stsr bench``.

    Parameters
    ----------
    argument
        A folder, relative to the working directory or to ``STSR_DATA_DIR``; one section of a folder of several, as
        ``her2st/B4``; or ``"synthetic"``.

    Raises
    ------
    FileNotFoundError
        When there is no such folder.
    ValueError
        When the folder has no layout that is known.

    Examples
    --------
    >>> find_sources("synthetic")
    [Synthetic(name='synthetic', argument='synthetic', side=2000.0)]
    """
    from stsr.bench.boxes import Box
    from stsr.bench.degraded import Degraded
    from stsr.bench.spots_and_cells import SpotsAndCells

    if argument.startswith(DEGRADED):
        return [Degraded.find(argument)]
    if argument.startswith(BOX):
        return [Box.find(argument)]
    if argument == SYNTHETIC or argument.startswith(f"{SYNTHETIC}:"):
        _, colon, side = argument.partition(":")
        try:
            length = SIDE("side", SIDE.read(side)) if colon else Synthetic.side
        except ValueError as error:
            raise ValueError(
                f"section={argument!r} has no side in µm after the colon, {SIDE.allowed}; write {SYNTHETIC}:800."
            ) from error
        return [Synthetic(argument.replace(":", "_"), argument, length)]
    folder, section = _locate(argument), None
    if not folder.is_dir():
        folder, section = folder.parent, folder.name
    name = folder.resolve().name
    if SpotsAndBins.fits(folder) and section is None:
        return [SpotsAndBins(name, argument, folder)]
    if SpotsAndCells.fits(folder) and section is None:
        return [SpotsAndCells(name, argument, folder)]
    sections = LegacySection.sections(folder)
    if section is not None and section not in sections:
        raise FileNotFoundError(
            f"section={argument!r} is neither a folder, here or in {VARIABLE}, nor a section of {str(folder)!r}, which "
            f"holds {', '.join(sections) or 'none'}."
        )
    if not sections:
        raise ValueError(f"section={argument!r} has no layout that the bench knows; it looked for {LAYOUTS}.")
    return [LegacySection(f"{name}/{known}", argument, folder, known) for known in ([section] if section else sections)]


def _locate(argument: str) -> Path:
    """The path here or, when its folder is not here, below the data folder; its last part may name a section."""
    if not argument.strip():
        raise ValueError(f"section={argument!r} names no folder; pass one, or {SYNTHETIC!r}.")
    here = Path(argument)
    if here.is_dir() or (len(here.parts) > 1 and here.parent.is_dir()):
        return here
    try:
        return path(*here.parts[:-1]) / here.name if len(here.parts) > 1 else path(argument)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"section={argument!r} is neither a folder here nor in {VARIABLE}, nor {SYNTHETIC!r}: {error}"
        ) from error
