"""Transcripts: points elements whose rows have a place and a gene, read piece by piece into µm."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import NAME
from stsr.options import Items
from stsr.spatial.frames import um_affine
from stsr.spatial.record import record

if TYPE_CHECKING:
    from spatialdata import SpatialData

QUALITY = "qv"
"""Column with the Phred-scaled quality of a transcript."""

ROWS = 2**21
"""Transcripts looked at together, about 100 bytes each."""

CONTROLS = re.compile(
    r"NegControl|NegPrb|Negative|SystemControl|FalseCode|(?i:blank)[-_]|(Unassigned|Deprecated)Codeword|"
    r"antisense_|Intergenic_Region"
)
"""How the names of features begin that are no genes, on Xenium, CosMx and MERSCOPE."""


@dataclass(frozen=True)
class Piece:
    """Some transcripts.

    Parameters
    ----------
    xy
        (transcripts, 2) in µm.
    gene
        (transcripts,) position among the genes asked for; -1 for any other feature.
    good
        (transcripts,) whether the quality is high enough.
    """

    xy: NDArray[np.float64]
    gene: NDArray[np.int64]
    good: NDArray[np.bool_]


@dataclass(frozen=True)
class Transcripts:
    """A points element that holds transcripts.

    Parameters
    ----------
    name
        Of the element.
    rows
        The dask data frame.
    feature_key
        Its column with the gene.
    to_um
        (3, 3) matrix from its (x, y) to µm.
    """

    name: str
    rows: Any
    feature_key: str
    to_um: NDArray[np.float64]

    def features(self) -> list[str]:
        """Names of the genes and controls; read from the data only when the column does not list them."""
        column = self.rows[self.feature_key]
        listed = column.dtype == "category" and column.cat.known
        return [
            _text(name) for name in (column.cat.categories if listed else column.drop_duplicates().compute().dropna())
        ]

    def pieces(self, genes: Sequence[str], min_qv: float | None) -> Iterator[Piece]:
        """Read the element a partition at a time, without the columns that are not needed.

        Raises
        ------
        ValueError
            When a transcript has no coordinates.
        """
        columns = ["x", "y", self.feature_key, *([] if min_qv is None else [QUALITY])]
        rows = self.rows[columns]
        for number in range(rows.npartitions):
            partition = rows.get_partition(number).compute()
            for start in range(0, len(partition), ROWS):
                yield self._piece(partition.iloc[start : start + ROWS], genes, min_qv)

    def _piece(self, rows: Any, genes: Sequence[str], min_qv: float | None) -> Piece:
        import pandas as pd

        xy = rows[["x", "y"]].to_numpy(dtype=np.float64)
        if lost := int((~np.isfinite(xy)).any(axis=1).sum()):
            raise ValueError(
                f"points {self.name!r} hold {lost} transcripts without coordinates (x or y is NaN or infinite); remove "
                "them first."
            )
        feature = rows[self.feature_key].astype("category")
        position = pd.Index(genes).get_indexer(pd.Index([_text(name) for name in feature.cat.categories]))
        return Piece(
            xy=xy @ self.to_um[:2, :2].T + self.to_um[:2, 2],
            gene=np.append(position, -1)[feature.cat.codes],  # the code of a missing feature is -1: the last
            good=np.ones(len(xy), dtype=bool) if min_qv is None else (rows[QUALITY] >= min_qv).to_numpy(dtype=bool),
        )


def find_transcripts(
    sdata: SpatialData, points: str | Sequence[str] | None, *, feature_key: str | None, min_qv: float | None
) -> list[Transcripts]:
    """The points elements of these names; when None, all that have a gene column.

    Raises
    ------
    KeyError
        For an unknown element; the message lists those there are.
    ValueError
        When there is no gene column or, with ``min_qv``, no quality column, or an element is not registered in the
        section's coordinate system.
    """
    facts = record(sdata)
    if points is None:
        points = [name for name, rows in sdata.points.items() if feature_key in rows.columns or _declared(rows)]
        if not points:
            raise ValueError(
                f"sdata has no points with a gene column (points: {', '.join(sdata.points) or 'none'}); pass points and "
                "feature_key."
            )
    found = []
    for name in [points] if isinstance(points, str) else points:
        if name not in sdata.points:
            raise KeyError(f"points={name!r} not found; sdata holds the points {', '.join(sdata.points) or 'none'}.")
        rows = sdata.points[name]
        key = feature_key or _declared(rows)
        if key is None or key not in rows.columns:
            raise ValueError(
                f"feature_key={key!r} is no column of points {name!r}; pass the one that names the gene among "
                f"{', '.join(rows.columns)}."
            )
        if min_qv is not None and QUALITY not in rows.columns:
            raise ValueError(
                f"min_qv={min_qv:g} needs a column {QUALITY!r}, which points {name!r} lack; pass min_qv=None to count "
                "every transcript."
            )
        found.append(Transcripts(name, rows, key, um_affine(rows, facts, name=name)))
    return found


def choose_genes(transcripts: Sequence[Transcripts], genes: Sequence[str] | None) -> list[str]:
    """``genes``, checked; when None, the features that are not named like controls, sorted.

    Raises
    ------
    ValueError
        For a gene that is no feature of the transcripts (close matches are suggested) or is named twice.
    """
    known = {name for element in transcripts for name in element.features()}
    if genes is None:
        return sorted(name for name in known if not CONTROLS.match(name))
    names = Items(NAME, most=1_000_000)("genes", genes)
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"genes lists {', '.join(repeated[:5])} more than once; name each gene once.")
    if unknown := [name for name in names if name not in known]:
        close = ", ".join(difflib.get_close_matches(unknown[0], known, n=3)) or "one of their features"
        raise ValueError(f"genes={unknown[0]!r} is no feature of the transcripts; did you mean {close}?")
    return list(names)


def _text(name: Any) -> str:
    """The name of a feature; HDF5 and old parquet files give bytes."""
    return name.decode() if isinstance(name, bytes) else str(name)


def _declared(rows: Any) -> str | None:
    """The gene column that a points element names itself."""
    return rows.attrs.get("spatialdata_attrs", {}).get("feature_key")
