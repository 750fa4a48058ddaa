"""How much spots of real sections differ in efficiency, at most: ``python benchmarks/efficiency.py``; README.md has more.

Prints, for each section, the nugget of the variogram of log total counts as a standard deviation, and the whole difference
between neighbours beside it. The kidney's spots are simulated without any difference in efficiency: its nugget tells what
the tissue itself adds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from scipy.spatial import cKDTree

from stsr.datasets import path
from stsr.geometry import nearest_pitch
from stsr.methods.baselines.kriging import matern
from stsr.pp.counts import read_counts

REACH = 4
"""Distance between the spots of a pair at most, in pitches."""

LENGTHS = np.geomspace(0.5, 20, 60)
"""Correlation lengths that are tried, in pitches."""

SECTIONS = (
    "mouse_muscle/Vis5A_2dpi",
    "mouse_muscle/Vis7B_5dpi",
    "her2st/B4",
    "her2st/C2",
    "her2st/C3",
    "her2st/C4",
    "breast",
    "kidney",
)


def variogram(totals: ArrayLike, xy: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Variogram of log total counts in classes half a pitch wide, less what counting alone makes of it, 1 / total.

    Parameters
    ----------
    totals, xy
        (spots,) total counts, and (spots, 2) centres in any unit. Spots without counts are left out.

    Returns
    -------
    distance, gamma, pairs
        (classes,) mean distance in pitches, variogram and number of pairs. The variogram is that of Cressie & Hawkins
        (1980, Mathematical Geology 12:115-125), which the few spots at the rim or in a tear do not rule.
    """
    some = np.asarray(totals) > 0
    log, xy = np.log(np.asarray(totals)[some]), np.asarray(xy)[some]
    xy = xy / nearest_pitch(xy)
    first, second = cKDTree(xy).query_pairs(REACH + 0.25, output_type="ndarray").T
    pairs = pd.DataFrame(
        {
            "distance": np.linalg.norm(xy[first] - xy[second], axis=1),
            "root": np.sqrt(np.abs(log[first] - log[second])),
        }
    )
    classes = pairs.groupby(np.rint(2 * pairs["distance"])).agg(
        distance=("distance", "mean"), root=("root", "mean"), pairs=("root", "size")
    )
    number = classes["pairs"].to_numpy()
    gamma = classes["root"].to_numpy() ** 4 / (0.457 + 0.494 / number) / 2
    counting = np.median(1 / np.asarray(totals)[some])
    return classes["distance"].to_numpy(), np.maximum(gamma - counting, 0), number


def nugget(distance: NDArray, gamma: NDArray, pairs: NDArray) -> float:
    """Variance that is left at distance 0, where the field is kriging's: Matérn of smoothness 3/2."""
    weight = np.sqrt(pairs)
    fits = []
    for length in LENGTHS:
        model = np.column_stack([np.ones(len(distance)), 1 - matern(distance, length)])
        (least, _), error = nnls(model * weight[:, None], gamma * weight)
        fits.append((error, least))
    return float(min(fits)[1])


def read_section(section: str) -> tuple[NDArray, NDArray]:
    """(spots,) total counts of a section's spots, and (spots, 2) their centres in pixels; nothing but spots is read."""
    folder = path(section.partition("/")[0])
    if section.startswith("her2st"):
        return legacy(folder, section.partition("/")[2])
    if section == "breast":
        spots = pd.read_csv(folder / "visium_spots.tsv", sep="\t")
        return totals(sp.load_npz(folder / "visium_counts.npz")), spots[["px_x", "px_y"]].to_numpy()
    return visium(folder / "visium" if section == "kidney" else path(section))


def legacy(folder: Path, name: str) -> tuple[NDArray, NDArray]:
    """Of a section of legacy Spatial Transcriptomics."""
    counts = pd.read_csv(folder / f"{name}.tsv.gz", sep="\t", index_col=0)
    spots = pd.read_csv(folder / f"{name}_selection.tsv", sep="\t")
    spots.index = spots["x"].astype(str) + "x" + spots["y"].astype(str)
    spots = spots[(spots["selected"] == 1) & spots.index.isin(counts.index)]
    return counts.loc[spots.index].sum(axis=1).to_numpy(), spots[["pixel_x", "pixel_y"]].to_numpy()


def visium(folder: Path) -> tuple[NDArray, NDArray]:
    """Of a folder of Space Ranger, whose first versions wrote positions without a header."""
    counts = read_counts(next(folder.glob("*filtered_feature_bc_matrix.h5")))
    file = next((folder / "spatial").glob("tissue_positions*.csv"))
    places = pd.read_csv(file, index_col=0, header=None if file.stem.endswith("_list") else 0)
    return totals(counts.X), places.loc[counts.obs_names].iloc[:, [4, 3]].to_numpy(dtype=float)


def totals(counts: sp.spmatrix) -> NDArray:
    """(spots,) total counts."""
    return np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()


def main() -> None:
    """Print the table."""
    print(f"{'section':24}  spots  median UMI  sd of nugget  sd between neighbours")
    for section in SECTIONS:
        counts, xy = read_section(section)
        distance, gamma, pairs = variogram(counts, xy)
        least, near = np.sqrt(nugget(distance, gamma, pairs)), np.sqrt(gamma[0])
        print(f"{section:24}  {len(counts):5}  {np.median(counts):10.0f}  {least:12.2f}  {near:21.2f}")


if __name__ == "__main__":
    main()
