"""Places of the spots, as Space Ranger, spreadsheets and repositories keep them, and which of them lie on tissue."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import ARRAY_COL, ARRAY_ROW
from stsr.geometry import Lattice, fit_lattice
from stsr.spatial.unreadable import read_text, reading

if TYPE_CHECKING:
    import pandas as pd

BARCODE, INSIDE, X, Y = "barcode", "in_tissue", "pxl_col_in_fullres", "pxl_row_in_fullres"
"""Columns of the positions, beside ``array_row`` and ``array_col``."""

COLUMNS = [BARCODE, INSIDE, ARRAY_ROW, ARRAY_COL, Y, X]
"""All of them, in the order of the old file without a header."""

NUMBERS = COLUMNS[2:]
"""Those that hold numbers."""

WORDS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
"""How tables say whether a spot lies on tissue."""


def read_positions(file: Path) -> pd.DataFrame:
    """Places of all spots of a slide by barcode: ``in_tissue`` bool, the other columns of the vendor as numbers.

    Columns may be parted by commas, semicolons or tabs, with the vendor's header or without.

    Raises
    ------
    ValueError
        When a column is missing, a spot on tissue has no place, or a barcode occurs twice.
    """
    table = _cells(file)
    numbers = table[NUMBERS].apply(_number)
    numbers[INSIDE] = in_tissue(table[INSIDE], f"path: {str(file)!r}")
    numbers.index = table[BARCODE].astype(str).str.strip().rename(None)
    finite = np.isfinite(numbers[NUMBERS].to_numpy(dtype=np.float64)).all(axis=1)
    if lost := int((numbers[INSIDE] & ~finite).sum()):
        raise ValueError(
            f"path: {str(file)!r} gives {lost} spots in tissue no number in {', '.join(NUMBERS)}; export it again."
        )
    places = numbers[finite]
    if repeated := int(places.index.duplicated().sum()):
        raise ValueError(
            f"path: {str(file)!r} names {repeated} barcodes twice ({places.index[places.index.duplicated()][0]}, ...); "
            "keep the positions of one slide."
        )
    return places


def in_tissue(values: Any, where: str, column: str = INSIDE) -> NDArray[np.bool_]:
    """(spots,) whether each lies on tissue, however the column says so: 1 and 0, True and False, numbers or words.

    Raises
    ------
    ValueError
        When a value says neither; the message begins with ``where`` and names the column.
    """
    import pandas as pd

    stated = pd.Series(values)
    if stated.dtype.kind in "biuf" and np.isin(stated.unique(), (0, 1)).all():
        return stated.to_numpy() == 1
    words = pd.Series(np.asarray(stated, dtype=object)).astype(str).str.strip().str.lower()
    said = words.map(WORDS)
    if unknown := sorted(set(words[said.isna()])):
        raise ValueError(
            f"{where} holds {', '.join(map(repr, unknown[:3]))} as {column}; put 1 for spots in tissue and 0 for others."
        )
    return said.to_numpy(dtype=bool)


def _cells(file: Path) -> pd.DataFrame:
    """The file's columns as text, under the vendor's names."""
    import pandas as pd

    text = read_text(file, "a table of positions")
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = max(",;\t", key=first.count)
    header = INSIDE in first.lower()
    with reading(file, "a table of positions"):
        table = pd.read_csv(
            io.StringIO(text), sep=mark, header=0 if header else None, dtype=str, skipinitialspace=True, index_col=False
        )
    if not header and table.shape[1] == len(COLUMNS):
        table.columns = pd.Index(COLUMNS)
    table.columns = pd.Index([str(name).strip().lower() for name in table.columns])
    if header and BARCODE not in table and table.shape[1] == len(COLUMNS):
        table = table.rename(columns={table.columns[0]: BARCODE})
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(
            f"path: {str(file)!r} lacks the columns {', '.join(missing)}; it must hold {', '.join(COLUMNS)}, in this order "
            "if there is no header."
        )
    return table[COLUMNS]


def _number(column: pd.Series) -> pd.Series:
    """Text as numbers, with a decimal comma or point; NaN where it is none."""
    import pandas as pd

    return pd.to_numeric(
        column.str.strip().map(lambda text: re.sub(",", ".", text), na_action="ignore"), errors="coerce"
    )


def lattice_of(
    rowcol: Any, xy: Any, inside: NDArray[np.bool_], size: tuple[int, int], *, layout: str | None = None
) -> Lattice | None:
    """The array of the spots, fitted to all listed places.

    Places off tissue tell the pitch as well as others, but some tools leave them without true positions, and a single
    position beside the image is wrong. Where not all places follow a lattice, those are left out.

    Parameters
    ----------
    rowcol, xy
        (places, 2) row and column on the array, and pixels (x, y).
    inside
        (places,) which lie on tissue.
    size
        Width and height of the image in pixels.
    layout
        As of :func:`~stsr.geometry.lattice_fit.fit_lattice`.

    Raises
    ------
    ValueError
        When the spots on tissue and on the image follow no lattice either.
    """
    rowcol, xy = np.asarray(rowcol, dtype=np.float64), np.asarray(xy, dtype=np.float64)
    known = np.isfinite(rowcol).all(axis=1) & np.isfinite(xy).all(axis=1)
    on = ((xy >= 0) & (xy <= size)).all(axis=1)
    fault = None
    for some in (known, known & on, known & inside, known & inside & on):
        try:
            if lattice := fit_lattice(rowcol[some], xy[some], layout=layout):
                return lattice
        except ValueError as error:
            fault = error
    if fault:
        raise fault
    return None
