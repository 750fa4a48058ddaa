"""Matrices as Space Ranger and repositories keep them: HDF5, or three text files."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.spatial.unreadable import read_text, reading

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

logger = logging.getLogger(__name__)

GENES = "Gene Expression"
"""What the vendor calls the features that are genes."""

KIND = "feature_types"
"""``var`` column that says so."""

DATASETS = ("barcodes", "data", "indices", "indptr", "shape", "features/id", "features/name", "features/feature_type")
"""What the HDF5 file has in its group ``matrix``."""


@dataclass(frozen=True)
class TextMatrix:
    """A matrix in three text files, gzipped or not."""

    matrix: Path
    features: Path
    barcodes: Path


def read_counts(source: Path | TextMatrix) -> AnnData:
    """Counts of genes, sparse float32, with the vendor's symbols as they are.

    Features that are no genes, such as antibodies, are left out, and the log says how many.

    Raises
    ------
    ValueError
        When the files are damaged or in an unknown layout, hold no genes or no spots, or name a barcode twice.
    """
    file = source if isinstance(source, Path) else source.matrix
    table = _from_hdf5(source) if isinstance(source, Path) else _from_text(source)
    if not table.n_obs or not table.X.nnz:
        raise ValueError(f"path: {str(file)!r} holds no bins with counts; choose another bin_size or another folder.")
    if repeated := int(table.obs_names.duplicated().sum()):
        raise ValueError(f"path: {str(file)!r} names {repeated} barcodes twice; export the counts of one sample again.")
    genes = are_genes(table.var, file.name)
    if not genes.any():
        kinds = ", ".join(sorted(table.var[KIND].astype(str).unique()))
        raise ValueError(f"path: {str(file)!r} holds no {GENES}, only {kinds}; pass a folder with counts of genes.")
    return table if genes.all() else table[:, genes].copy()


def are_genes(var: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    """(features,) which are genes, by the vendor's column where there is one; the log says which are left out."""
    if KIND not in var:
        return np.ones(len(var), dtype=bool)
    kinds = var[KIND].astype(str)
    genes: NDArray[np.bool_] = (kinds == GENES).to_numpy()
    if genes.any() and not genes.all():
        others = ", ".join(f"{number} {kind}" for kind, number in kinds[~genes].value_counts().items())
        logger.warning("%s: left out features that are no genes (%s).", name, others)
    return genes


def _from_hdf5(file: Path) -> AnnData:
    import h5py
    from scanpy import read_10x_h5

    with reading(file, "the vendor's HDF5 matrix"), h5py.File(file) as opened:
        missing = [name for name in DATASETS if f"matrix/{name}" not in opened]
        if not missing:
            n_genes, n_spots = (int(number) for number in opened["matrix/shape"][:])
            lengths = {name: len(opened[f"matrix/{name}"]) for name in DATASETS}
    if missing:
        raise ValueError(f"path: {str(file)!r} is in an unknown layout; matrix/{missing[0]} was looked for in it.")
    if not lengths["barcodes"] or not lengths["data"]:
        raise ValueError(f"path: {str(file)!r} holds no bins with counts; choose another bin_size or another folder.")
    due = {"barcodes": n_spots, "indptr": n_spots + 1, "indices": lengths["data"], "features/name": n_genes}
    if wrong := [name for name, length in due.items() if lengths[name] != length]:
        raise ValueError(
            f"path: {str(file)!r} is damaged: matrix/{wrong[0]} has {lengths[wrong[0]]} entries, not {due[wrong[0]]}; copy "
            "or export it again."
        )
    with reading(file, "the vendor's HDF5 matrix"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        warnings.filterwarnings("ignore", message="Observation names are not unique")
        table = read_10x_h5(file, gex_only=False)
        table.X.check_format(full_check=True)
        table.uns["metadata"] = _metadata(file)
    return table


def _metadata(file: Path) -> dict[str, str]:
    """What the file says of its origin."""
    import h5py

    with h5py.File(file) as opened:
        words = {key: opened.attrs[key] for key in ("chemistry_description", "software_version") if key in opened.attrs}
    return {key: word.decode() if isinstance(word, bytes) else str(word) for key, word in words.items()}


def _from_text(files: TextMatrix) -> AnnData:
    import pandas as pd
    from anndata import AnnData
    from scipy.io import mmread

    with reading(files.matrix, "a Matrix Market file"):
        matrix: Any = sp.csr_matrix(mmread(files.matrix).T, dtype=np.float32)
    features = _lines(files.features, "a table of features")
    barcodes = [line[0] for line in _lines(files.barcodes, "a list of barcodes")]
    if matrix.shape != (len(barcodes), len(features)):
        raise ValueError(
            f"path: {str(files.matrix)!r} is {matrix.shape[1]} x {matrix.shape[0]}, but {files.features.name} names "
            f"{len(features)} features and {files.barcodes.name} {len(barcodes)} barcodes; take all three from the same run."
        )
    symbols = [line[min(1, len(line) - 1)] for line in features]
    var = pd.DataFrame({"gene_ids": [line[0] for line in features]}, index=symbols)
    if all(len(line) > 2 for line in features):
        var[KIND] = [line[2] for line in features]
    table = AnnData(matrix, obs=pd.DataFrame(index=barcodes), var=var)
    table.uns["metadata"] = {}
    return table


def _lines(file: Path, expected: str) -> list[list[str]]:
    """The cells of each line of a tab-separated file without a header."""
    return [line.split("\t") for line in read_text(file, expected).splitlines() if line.strip()]
