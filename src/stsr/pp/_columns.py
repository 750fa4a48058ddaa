"""Columns of obs and var as a store can keep them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def storable(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The frame with dates, lists, mixed columns and the like as text; the log says which.

    Parameters
    ----------
    frame
        ``obs`` or ``var``. It is not changed.
    kind
        Which of the two, for messages.

    Raises
    ------
    ValueError
        When two columns have one name.
    """
    frame = frame.set_axis([str(name).strip() or "unnamed" for name in frame.columns], axis=1)
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"adata.{kind} has two columns called {twice!r}; rename or drop one.")
    columns = {str(name): column for name, column in frame.items()}
    kept = {name: _column(column) for name, column in columns.items()}
    if changed := [name for name, column in columns.items() if kept[name] is not column and _told(column)]:
        logger.warning("Kept as text in %s: %s.", kind, ", ".join(changed))
    return frame.assign(**kept) if kept else frame


def _told(column: pd.Series) -> bool:
    """Whether keeping a column as text is a change that a user would notice."""
    from pandas.api.types import infer_dtype

    values: Any = column.cat.categories if column.dtype == "category" else column
    return infer_dtype(values, skipna=True) not in ("string", "empty")


def _column(column: pd.Series) -> pd.Series:
    """The same column where a store can keep it, otherwise its values as text; missing ones stay missing."""
    import pandas as pd
    from pandas.api.types import infer_dtype, is_bool_dtype, is_complex_dtype, is_numeric_dtype

    if isinstance(column.dtype, pd.CategoricalDtype):
        names = column.cat.categories
        if (is_numeric_dtype(names.dtype) and not is_complex_dtype(names)) or infer_dtype(names) in ("string", "empty"):
            return column
        return column.cat.rename_categories([str(name) for name in names])
    if is_bool_dtype(column.dtype) or (is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype)):
        return column
    if column.dtype in (object, "str") and infer_dtype(column, skipna=False) == "string":  # "str" from pandas 3 on
        return column
    text = column.astype(object).map(str, na_action="ignore")
    return pd.Series(pd.Categorical(text), index=column.index, name=column.name)
