"""Visium spots, and the true bins of the same tissue by Visium HD."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stsr.bench.sources.base import GENES, Genes, Source

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

COUNTS = "filtered_feature_bc_matrix.h5"
HD = Path("visium_hd", "binned_outputs", "square_008um")
IMAGES = (".tif", ".tiff", ".btf", ".png", ".jpg", ".jpeg")


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
