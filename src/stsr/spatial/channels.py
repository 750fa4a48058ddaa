"""What the channels of an image in memory mean: by their names, and where these say nothing by their number."""

from __future__ import annotations

from collections.abc import Sequence

from stsr.spatial.samples import Samples
from stsr.spatial.tiff_meaning import RGB, UNNAMED

OPACITY = ("a", "alpha", "opacity")
"""Names of a channel of opacity."""

BY_NUMBER = {3: Samples("rgb"), 4: Samples("rgb", alpha=3)}
"""What channels without names are."""


def colours_of(names: Sequence[object]) -> Samples | None:
    """How to read channels of these names as RGB; None when they are others than red, green, blue and opacity."""
    words = [str(name).strip().lower() for name in names]
    places = [RGB.get(word) for word in words]
    opacity = [place for place, word in enumerate(words) if word in OPACITY]
    if len(words) == 3 + len(opacity) and len(opacity) <= 1 and {0, 1, 2} <= {*places}:
        order = tuple(places.index(colour) for colour in range(3))
        return Samples("rgb", places=order, alpha=opacity[0] if opacity else None)
    return BY_NUMBER.get(len(words)) if all(map(UNNAMED.fullmatch, words)) else None
