"""What a section may be called, so that its elements can carry its name."""

from __future__ import annotations

import re

from stsr.spatial.store import NAME

RESERVED = re.compile(
    r"table|global|he|tissue|cells|cell_circles|transcripts|((grid|square|sr|truth|truth_grid|features).*)_\d.*um",
    re.IGNORECASE,
)
"""Names of elements, tables and coordinate systems that stsr writes itself."""

LONGEST = 100
"""Letters of a section's name: file systems take 255 bytes, and elements have ends of their own."""


def check_dataset_id(dataset_id: str) -> str:
    """Refuse a name of a section that its elements could not carry."""
    if not isinstance(dataset_id, str) or not NAME.fullmatch(dataset_id) or len(dataset_id) > LONGEST:
        raise ValueError(
            f"dataset_id={dataset_id!r} cannot name elements; use letters, digits, '_', '-' and '.', at most {LONGEST}, "
            "the first a letter or digit."
        )
    if RESERVED.fullmatch(dataset_id):
        raise ValueError(
            f"dataset_id={dataset_id!r} cannot name elements: stsr gives this name to an element of its own; choose "
            "another."
        )
    return dataset_id
