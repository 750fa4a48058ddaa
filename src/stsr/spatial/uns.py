"""What a table says of itself in ``uns``, in types that every program reads back from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def plain_uns(value: Any) -> Any:
    """JSON as a table's ``uns`` can hold it: there is no None in it, and lists are arrays.

    What is None is left out, also in what it holds: files have no word for nothing that older programs know. A list of
    numbers or of texts becomes an array of them, any other its JSON.

    Examples
    --------
    >>> plain_uns({"stain": None, "options": {"widths": (64, 64), "penalty": None}})
    {'options': {'widths': array([64, 64])}}
    """
    if isinstance(value, Mapping):
        items = ((str(key).replace("/", "_"), plain_uns(item)) for key, item in value.items() if item is not None)
        return dict(items)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if value and all(isinstance(item, str) for item in value):
            return np.array(value, dtype=object)
        if all(isinstance(item, int | float | np.number) for item in value):
            return np.array(value)
        return json.dumps(value)
    return value
