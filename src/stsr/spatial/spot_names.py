"""What a table says of each of its spots: the patient, and the place on the array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.constants import ARRAY_COL, ARRAY_ROW, PATIENT
from stsr.spatial.record import Record

if TYPE_CHECKING:
    from anndata import AnnData


def spot_patients(table: AnnData, record: Record) -> NDArray[np.str_]:
    """(spots,) names of the patients in ``obs["patient"]``; of those it does not name, what the record says, or ``""``.

    Examples
    --------
    >>> from anndata import AnnData
    >>> table = AnnData(np.ones((3, 1)), obs={"patient": ["A", None, "B"]})
    >>> facts = Record("visium", "one", "one", 0.5, "pitch", "image", patient="C")
    >>> spot_patients(table, facts)
    array(['A', 'C', 'B'], dtype='<U1')
    """
    other = record.patient or ""
    if PATIENT not in table.obs:
        return np.full(table.n_obs, other)
    column = table.obs[PATIENT]
    return column.astype(object).where(column.notna(), other).to_numpy().astype(np.str_)


def array_places(table: AnnData) -> NDArray[np.int64] | None:
    """(spots, 2) row and column on the array, of ``obs["array_row"]`` and ``obs["array_col"]``.

    None unless both hold whole numbers for all spots: tables that are not from an array have other values there, or none.

    Examples
    --------
    >>> from anndata import AnnData
    >>> array_places(AnnData(np.ones((2, 1)), obs={"array_row": [0, 1], "array_col": [3, 4]}))
    array([[0, 3],
           [1, 4]])
    """
    if not {ARRAY_ROW, ARRAY_COL} <= set(table.obs):
        return None
    columns = [np.asarray(table.obs[name]) for name in (ARRAY_ROW, ARRAY_COL)]
    if not all(column.dtype.kind in "iuf" and _whole(column) for column in columns):
        return None
    return np.column_stack(columns).astype(np.int64)


def _whole(values: NDArray[np.number]) -> bool:
    return bool((np.isfinite(values) & (values == np.rint(values))).all())
