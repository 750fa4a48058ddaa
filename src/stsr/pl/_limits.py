"""Where a colour scale starts and ends: at numbers, or at percentiles such as ``"p99"``, as in scanpy."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.colors import Normalize


def check_limits(vmin: Any, vmax: Any) -> None:
    """Refuse limits that are neither numbers nor percentiles, and numbers in the wrong order.

    Raises
    ------
    ValueError
        The message names the limit and what may be passed instead.
    """
    low, high = _read("vmin", vmin), _read("vmax", vmax)
    if not isinstance(low, str) and not isinstance(high, str) and low >= high:
        raise ValueError(
            f"vmin={vmin!r} is not below vmax={vmax!r}; pass a smaller vmin, or a percentile such as 'p99'."
        )


def colour_scale(vmin: float | str, vmax: float | str, *values: ArrayLike, log1p: bool = False) -> Normalize:
    """The scale of the colours of a panel, or of several that share it.

    Parameters
    ----------
    vmin, vmax
        Numbers, or ``"pN"`` for the N-th percentile of the values that are there. Where the percentile ``vmax`` is not
        above ``vmin``, as for a gene that few cells express, the largest value takes its place.
    values
        An array for each kind of value on the scale, which starts at the lowest of their ``vmin`` and ends at the highest
        of their ``vmax``.
    log1p
        Space the colours by the logarithm of 1 + the value.

    Raises
    ------
    ValueError
        With ``log1p``, for a scale that starts at -1 or below.
    """
    from matplotlib.colors import FuncNorm, Normalize

    known = [there for there in map(_there, values) if there.size] or [np.zeros(1)]
    low = min(_at(_read("vmin", vmin), there) for there in known)
    high = max(_at(_read("vmax", vmax), there) for there in known)
    if high <= low:
        high = max(float(there.max()) for there in known)
    if high <= low:
        high = low + 1.0
    if log1p and low <= -1:
        raise ValueError(
            f"vmin={vmin!r} starts the colours at {low:g}, which has no log1p; pass vmin=0 or log1p=False."
        )
    return FuncNorm((np.log1p, np.expm1), vmin=low, vmax=high) if log1p else Normalize(vmin=low, vmax=high)


def _read(name: str, value: Any) -> float | str:
    """A finite number, or the text of a percentile."""
    if isinstance(value, str) and re.fullmatch(r"p\d+(\.\d+)?", value) and float(value[1:]) <= 100:
        return value
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and math.isfinite(value):
        return float(value)
    raise ValueError(f"{name}={value!r} is no limit of colours; pass a number, or a percentile such as 'p99'.")


def _at(limit: float | str, there: NDArray[Any]) -> float:
    return float(np.percentile(there, float(limit[1:]))) if isinstance(limit, str) else limit


def _there(values: ArrayLike) -> NDArray[Any]:
    values = np.asarray(values)
    return values[np.isfinite(values)]
