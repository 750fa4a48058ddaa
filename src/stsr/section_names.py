"""Whether sections that bear one name are one section."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from stsr.section import Section


def check_names(sections: Sequence[Section]) -> None:
    """Refuse different sections of one name.

    Parts of a section, such as two crops, share its name by right, and so does a section that is listed twice. But where
    two name different patients, or counted differently at one place of the array, they are different sections: what leaves
    out a spot's own section would leave out both, or take one for the other at prediction.

    Raises
    ------
    ValueError
        The message names both sections and what they differ in.
    """
    for (one, first), (two, second) in combinations(enumerate(sections, 1), 2):
        for name in np.intersect1d(first.spot_section, second.spot_section):
            if name and (fault := _difference(*(s.subset(s.spot_section == name) for s in (first, second)))):
                raise ValueError(
                    f"sections {one} and {two} are both named {str(name)!r} but {fault}; read one of them again with "
                    f"another name, such as dataset_id='{name}_{two}'."
                )


def _difference(first: Section, second: Section) -> str:
    """What shows that two parts are not of one section; empty when nothing does."""
    patients = [set(part.spot_patient) - {""} for part in (first, second)]
    if all(patients) and patients[0].isdisjoint(patients[1]):
        one, two = (", ".join(sorted(names)) for names in patients)
        return f"are of the patients {one} and {two}"
    if first.array_rowcol is None or second.array_rowcol is None:
        return ""
    place = {(int(row), int(col)): spot for spot, (row, col) in enumerate(first.array_rowcol)}
    both = [(place[key], spot) for spot, key in enumerate(map(tuple, second.array_rowcol.tolist())) if key in place]
    if not both:
        return ""
    here, there = np.transpose(both)
    differ = np.flatnonzero(abs(first.counts[here] - second.counts[there]).sum(axis=1))
    if not len(differ):
        return ""
    row, col = second.array_rowcol[there[differ[0]]]
    return f"counted differently at row {row}, column {col} of the array"
