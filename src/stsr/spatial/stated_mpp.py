"""The µm per pixel that an image file states itself: OME metadata, ImageJ's, a scanner's, or resolution tags."""

from __future__ import annotations

import logging
import math
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

logger = logging.getLogger(__name__)

MICRONS = {
    "pm": 1e-6,
    "Å": 1e-4,
    "nm": 1e-3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "\\u00B5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "in": 25400.0,
    "inch": 25400.0,
}
"""µm in a unit of OME metadata or of ImageJ."""

SQUARE = 0.02
"""Relative difference between the width and the height of a pixel up to which it counts as a square."""

SCANNER = re.compile(r"\bMPP\s*=\s*([0-9.]+)")
"""How the description of an Aperio file gives it."""


def stated_mpp(tiff: Any, series: Any, ome: ElementTree.Element | None) -> float | None:
    """µm per pixel of a series of a TIFF; None when the file states none, or none that a pixel can have."""
    if ome is not None:
        return _square(*_ome(ome))
    page = series.keyframe
    if scanner := SCANNER.search(page.description):
        return _square(*[_number(scanner[1])] * 2)
    unit = {2: 25400.0, 3: 10000.0}.get(page.tags.valueof(296, default=2))
    if tiff.is_imagej:
        unit = MICRONS.get(str((tiff.imagej_metadata or {}).get("unit")))
    x, y = (_dots(page.tags.valueof(code)) for code in (282, 283))
    if unit is None or not x:
        return None
    return _square(unit / x, unit / (y or x))


def _ome(pixels: ElementTree.Element) -> tuple[float | None, float | None]:
    """µm per pixel in x and y that an element ``Pixels`` states."""
    found: list[float | None] = []
    for axis in "XY":
        size = _number(pixels.get(f"PhysicalSize{axis}"))
        unit = MICRONS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        found.append(None if size is None or unit is None else size * unit)
    return found[0], found[1] if "PhysicalSizeY" in pixels.attrib else found[0]


def _square(x: float | None, y: float | None) -> float | None:
    if x is None or y is None or not (math.isfinite(x) and math.isfinite(y) and x > 0 and y > 0):
        return None
    if abs(x / y - 1) > SQUARE:
        logger.warning("The image file states pixels of %.4g x %.4g µm, which are no squares: passed over.", x, y)
        return None
    return x


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _dots(value: Any) -> float | None:
    """Pixels per unit of a resolution tag, a fraction of two whole numbers."""
    match value:
        case (int() as dots, int() as units) if dots > 0 and units > 0:
            return dots / units
    return None
