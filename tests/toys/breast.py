"""A folder laid out as Visium spots with the Xenium cells of the serial section, made of a synthetic section."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from PIL import Image

from stsr.bench.sources.spots_and_cells import CELL_COUNTS, CELL_GENES, CELLS, SPOT_COUNTS, SPOT_GENES, SPOTS
from stsr.datasets import synthetic_section
from stsr.spatial import raw_counts

MPP = 2.0


def write_breast(folder: Path, side: int = 900) -> Path:
    """Spots of all genes; cells, one in four bins, of all but the first two and of one that no spot has."""
    sdata = synthetic_section(size=(side, side), n_genes=12, mpp=MPP, seed=0)
    spots, bins = sdata["table"], sdata["truth_008um"]
    folder.mkdir(parents=True, exist_ok=True)
    xy = spots.obsm["spatial"] * MPP
    pd.DataFrame(
        {
            "barcode": spots.obs_names,
            "array_row": spots.obs["array_row"].to_numpy(),
            "array_col": spots.obs["array_col"].to_numpy(),
            "x_um": xy[:, 0],
            "y_um": xy[:, 1],
            "px_x": spots.obsm["spatial"][:, 0],
            "px_y": spots.obsm["spatial"][:, 1],
        }
    ).to_csv(folder / SPOTS, sep="\t", index=False)
    sp.save_npz(folder / SPOT_COUNTS, sp.csr_matrix(raw_counts(spots, name="spots")).astype(np.int32))
    (folder / SPOT_GENES).write_text("\n".join(spots.var_names))

    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(bins.n_obs)[: bins.n_obs // 4])
    place = bins.obsm["spatial"][chosen] * MPP + rng.uniform(-3, 3, (len(chosen), 2))
    pd.DataFrame({"cell_id": chosen, "x_um": place[:, 0], "y_um": place[:, 1]}).to_csv(
        folder / CELLS, sep="\t", index=False
    )
    counts = sp.csr_matrix(raw_counts(bins, name="bins"))[chosen][:, 2:]
    extra = sp.csr_matrix(np.ones((len(chosen), 1)))
    sp.save_npz(folder / CELL_COUNTS, sp.csr_matrix(sp.hstack([counts, extra])).astype(np.int32))
    (folder / CELL_GENES).write_text("\n".join([*bins.var_names[2:], "ELSEWHERE"]))

    image = np.asarray(sdata["synthetic_full_image"]["scale0"]["image"].data).transpose(1, 2, 0)
    Image.fromarray(image).save(folder / "he_2um.jpg", quality=95)
    filled = np.zeros(image.shape[:2], dtype=np.uint8)
    filled[:, 200:210] = 255
    Image.fromarray(filled).save(folder / "he_2um_filled_mask.png")
    return folder
