"""Which files of a folder are a Visium section, under the vendor's names or with a prefix, gzipped or not."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from stsr.pp._folder import Found, as_folder, contents, entries, find, in_spatial, listed, only
from stsr.pp._positions import read_positions
from stsr.pp.counts import TextMatrix

COUNTS, POSITIONS = "filtered_feature_bc_matrix.h5", "spatial/tissue_positions.csv"
"""What the vendor calls them."""

OTHER_H5 = re.compile("raw_|molecule_info", re.IGNORECASE)
"""Names of the vendor's HDF5 files that hold no filtered matrix."""

HD = "binned_outputs"
"""What a Visium HD folder holds."""


@dataclass(frozen=True)
class VisiumFiles:
    """The files of one section.

    Parameters
    ----------
    counts
        The matrix.
    positions
        Places of the spots.
    factors
        Scale factors, where there are any: nothing else is needed of them.
    images
        Where to look for the reduced images, and what stands before their names.
    """

    counts: Path | TextMatrix
    positions: Path
    factors: Path | None
    images: Found


def find_visium(path: str | os.PathLike[str]) -> VisiumFiles:
    """The files of the one section in a folder.

    Raises
    ------
    FileNotFoundError
        When a file is missing; the message says what the folder holds.
    ValueError
        When there are files of several sections, or the folder is of another platform.
    """
    folder = as_folder(path)
    _refuse_other_platforms(folder)
    prefix, counts = _find_counts(folder)
    positions = _find_positions(folder)
    factors = only(in_spatial(folder, r"scalefactors_json\.json(\.gz)?"), folder, "scale factors")
    if prefix and positions.prefix and not (prefix.startswith(positions.prefix) or positions.prefix.startswith(prefix)):
        raise ValueError(
            f"path={str(folder)!r} holds counts of {prefix!r} and positions of {positions.prefix!r}; keep the files of one "
            "sample in a folder of their own, and give them one prefix."
        )
    return VisiumFiles(counts, positions.path, factors.path if factors else None, Found(folder, positions.prefix))


def _refuse_other_platforms(folder: Path) -> None:
    if any(folder.glob(f"{HD}/square_*um")) or any(folder.glob("spatial/tissue_positions.parquet")):
        raise ValueError(f"path={str(folder)!r} holds a Visium HD section; read it with stsr.pp.read_visium_hd.")


def _missing(folder: Path, name: str, hint: str = "") -> FileNotFoundError:
    usual = "pass the folder that Space Ranger made, usually called outs."
    return FileNotFoundError(f"path={str(folder)!r} holds no {name}; {hint or usual} {contents(folder)}")


def _find_counts(folder: Path) -> tuple[str, Path | TextMatrix]:
    """The matrix as HDF5, or as three text files in a folder of their own or in this one; and its prefix."""
    matrix = r"matrix\.mtx(\.gz)?"
    h5 = find(folder, r"filtered_feature_bc_matrix\.h5")
    named = find(folder, r"filtered_feature_bc_matrix", folders=True)
    inside = [Found(hit.path, each.prefix + hit.prefix) for each in named for hit in find(each.path, matrix)]
    flat = [hit for hit in find(folder, matrix) if not hit.prefix.endswith(("raw_feature_bc_", "raw_"))]
    prefixes = {each.prefix.removesuffix("filtered_feature_bc_") for each in (*h5, *inside, *flat)} - {""}
    if len(h5) > 1 or len(prefixes) > 1:
        only([*h5, *inside, *flat], folder, "counts")
    if h5:
        return h5[0].prefix, h5[0].path
    if text := only([*inside, *flat], folder, "counts"):
        return text.prefix.removesuffix("filtered_feature_bc_"), _text_matrix(text.path)
    packed = find(folder, r"filtered_feature_bc_matrix\.(h5\.gz|tar\.gz|tgz|zip)")
    others = [each for each in find(folder, r".*\.h5") if not OTHER_H5.search(each.path.name)]
    raw = find(folder, r"raw_feature_bc_matrix(\.h5)?") + find(folder, "raw_feature_bc_matrix", folders=True)
    objects = find(folder, r".*\.(h5ad|rds|loom)")
    if packed:
        raise _missing(folder, COUNTS, f"unpack {listed(folder, packed)} first.")
    if raw:
        raise _missing(
            folder,
            COUNTS,
            f"{listed(folder, raw)} also counts what lies off tissue; put the filtered matrix beside it.",
        )
    if objects:
        raise _missing(
            folder, COUNTS, f"read {listed(folder, objects)} as an AnnData object and pass it to stsr.pp.from_anndata."
        )
    if others:
        raise _missing(folder, COUNTS, f"if {listed(folder, others)} is that matrix, rename it.")
    raise _missing(folder, COUNTS)


def _text_matrix(matrix: Path) -> TextMatrix:
    """The three files of a matrix, which share what stands before ``matrix.mtx``."""
    prefix = matrix.name[: matrix.name.lower().rindex("matrix.mtx")]
    near = {path.name.lower(): path for path in entries(matrix.parent)}
    rest = {}
    for kind, names in (("features", ("features", "genes")), ("barcodes", ("barcodes",))):
        wanted = [f"{prefix}{name}.tsv{packed}" for name in names for packed in (".gz", "")]
        if not (there := [near[name.lower()] for name in wanted if name.lower() in near]):
            raise _missing(matrix.parent, wanted[0], f"{matrix.name} needs it.")
        rest[kind] = there[0]
    return TextMatrix(matrix, rest["features"], rest["barcodes"])


def _find_positions(folder: Path) -> Found:
    """The table of positions; of an old one and a new one beside each other either, when both say the same."""
    found = in_spatial(folder, r"tissue_positions(_list)?\.(csv|tsv|txt)(\.gz)?")
    if len(found) == 2 and len({(each.path.parent, each.prefix) for each in found}) == 1:
        one, other = (read_positions(each.path) for each in found)
        if one.equals(other):
            return found[0]
    hit = only(found, folder, "positions")
    if hit is None:
        packed = find(folder, r"spatial\.(tar|tar\.gz|tgz|zip)")
        raise _missing(folder, POSITIONS, f"unpack {listed(folder, packed)} first." if packed else "")
    return hit
