"""Spots of one section, with the single cells of the serial section as the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.bench.sources.base import Source

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData

SPOTS, SPOT_COUNTS, SPOT_GENES = "visium_spots.tsv", "visium_counts.npz", "visium_genes.txt"
CELLS, CELL_COUNTS, CELL_GENES = "xenium_cells.tsv.gz", "xenium_counts.npz", "xenium_genes.txt"

BIN = 4.0
"""Side in µm of the bins that cells are summed to: 16, 32, 56 and 100 are multiples of it."""

EDGE = 0.005
"""Share of the cells that is left out at each side of their window: a registered section has no straight edges."""


@dataclass(frozen=True)
class SpotsAndCells(Source):
    """True Visium with its H&E, and Xenium cells of the serial section registered to it.

    Two platforms on two sections: scores compare methods, and are no absolute measure.
    """

    has_truth: ClassVar = True
    relative: ClassVar = True
    scales: ClassVar = (16.0, 32.0, 56.0, 100.0)

    folder: Path

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether a folder has this layout."""
        return all(
            (folder / name).is_file() for name in (SPOTS, SPOT_COUNTS, SPOT_GENES, CELLS, CELL_COUNTS, CELL_GENES)
        )

    @property
    def image(self) -> Path:
        """The H&E."""
        found = sorted(self.folder.glob("he_*um.jpg"))
        if len(found) != 1:
            raise FileNotFoundError(f"{self.folder} holds {len(found)} files he_*um.jpg; one, the H&E, is needed.")
        return found[0]

    @property
    def filled(self) -> Path | None:
        """The mask of the H&E's filled-in pixels, where there is one."""
        file = self.image.with_name(f"{self.image.stem}_filled_mask.png")
        return file if file.is_file() else None

    @property
    def files(self) -> list[Path]:
        """Spots, cells, image and mask."""
        names = (SPOTS, SPOT_COUNTS, SPOT_GENES, CELLS, CELL_COUNTS, CELL_GENES)
        return [*(self.folder / name for name in names), self.image, *([self.filled] if self.filled else [])]

    @property
    def genes(self) -> list[str]:
        """Those that both platforms measured."""
        known = set(self._names(SPOT_GENES))
        return [gene for gene in self._names(CELL_GENES) if gene in known]

    def read(self, store: Path) -> SpatialData:
        """Read the spots and their image."""
        import scipy.sparse as sp
        from anndata import AnnData

        from stsr.pp.from_anndata import from_anndata

        spots = self._spots()
        adata = AnnData(sp.csr_matrix(sp.load_npz(self.folder / SPOT_COUNTS), dtype=np.float32))
        adata.obs = spots.set_index("barcode")[["array_row", "array_col"]]
        adata.var_names = self._names(SPOT_GENES)
        adata.obsm["spatial"] = spots[["px_x", "px_y"]].to_numpy()
        return from_anndata(
            adata,
            fullres_image=self.image,
            store=store,
            dataset_id=self.dataset_id,
            mpp=self._mpp(spots),
            overwrite=True,
        )

    def truth(self, sdata: SpatialData, genes: list[str]) -> AnnData:
        """Cells summed to bins of the window that both platforms measured, without pixels that were filled in.

        A cell counts where its middle lies.
        """
        import pandas as pd
        import scipy.sparse as sp
        from anndata import AnnData

        spots, cells = self._spots(), pd.read_csv(self.folder / CELLS, sep="\t")
        mpp, xy = self._mpp(spots), cells[["x_um", "y_um"]].to_numpy()
        low, high = window(spots[["px_x", "px_y"]].to_numpy() * mpp, xy)
        cols, rows = np.floor((high - low) / BIN).astype(int)
        row, col = np.divmod(np.arange(rows * cols), cols)
        middle = (np.column_stack([col, row]) + 0.5) * BIN + low

        place = np.floor((xy - low) / BIN).astype(int)
        inside = ((place >= 0) & (place < (cols, rows))).all(axis=1)
        home = place[inside] @ [1, cols]
        ones = np.ones(len(home), dtype=np.float32)
        summed = sp.csr_array((ones, (home, np.flatnonzero(inside))), shape=(len(middle), len(cells)))
        names = self._names(CELL_GENES)
        known = [gene for gene in genes if gene in names]
        chosen = [names.index(gene) for gene in known]
        counts = summed @ sp.csr_array(sp.load_npz(self.folder / CELL_COUNTS), dtype=np.float32)[:, chosen]

        kept = ~self._on_filled(middle / mpp, BIN / mpp)
        truth = AnnData(
            sp.csr_matrix(counts[kept]),
            obs=pd.DataFrame({"array_row": row[kept], "array_col": col[kept]}, index=np.flatnonzero(kept).astype(str)),
            var=pd.DataFrame(index=known),
        )
        truth.obsm["spatial"] = middle[kept] / mpp
        return truth

    def _names(self, file: str) -> list[str]:
        return (self.folder / file).read_text(encoding="utf-8").split()

    def _spots(self) -> pd.DataFrame:
        import pandas as pd

        return pd.read_csv(self.folder / SPOTS, sep="\t")

    def _mpp(self, spots: pd.DataFrame) -> float:
        """µm per pixel, from the spot positions given in both units."""
        return float(np.round(np.median(spots["x_um"] / spots["px_x"]), 4))

    def _on_filled(self, pixels: NDArray[np.float64], side: float) -> NDArray[np.bool_]:
        """(bins,) whether a bin, ``side`` pixels wide around its centre (bins, 2), touches a filled-in pixel."""
        from PIL import Image
        from scipy.ndimage import maximum_filter

        if self.filled is None:
            return np.zeros(len(pixels), dtype=bool)
        with Image.open(self.filled) as picture:
            mask = np.asarray(picture.convert("L")) > 0
        wide = maximum_filter(mask, size=2 * int(np.ceil(side / 2)) + 1)
        col, row = np.clip(np.floor(pixels).astype(int), 0, np.array(mask.shape[::-1]) - 1).T
        return wide[row, col]


def window(spots: NDArray[np.float64], cells: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners in µm of the box that both the outermost spots and all but a few cells enclose, of (n, 2) places each."""
    low, high = np.quantile(cells, [EDGE, 1 - EDGE], axis=0)
    return np.maximum(spots.min(axis=0), low), np.minimum(spots.max(axis=0), high)
