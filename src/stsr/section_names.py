"""Names that keep the spots of several sections apart."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stsr.section import Section

logger = logging.getLogger(__name__)


def unique_names(sections: Sequence[Section]) -> list[NDArray[np.str_]]:
    """(spots,) names of each section, different ones for different sections.

    A section without a name is called ``"section 1"``, ``"section 2"`` and so on, by its place. Parts of a section, such as
    two crops, keep its name, and so does a section that is listed twice. But where two of one name are of different patients,
    or counted differently at one place of the array, they are different sections. Then the later one gets its place too, as
    in ``"C2 (3)"``, and a warning says so.
    """
    known: dict[str, list[tuple[str, Section]]] = {}
    unique = []
    for number, section in enumerate(sections, 1):
        names = np.where(section.spot_section == "", f"section {number}", section.spot_section).astype(object)
        for name in sorted(set(section.spot_section.tolist()) - {""}):
            own = section.spot_section == name
            names[own] = _unique_name(name, section.subset(own), number, known.setdefault(name, []))
        unique.append(names.astype(np.str_))
    return unique


def _unique_name(name: str, part: Section, number: int, known: list[tuple[str, Section]]) -> str:
    """The name of a part of section ``number``, which is added to the ``known`` parts of this name."""
    faults: dict[str, str] = {}
    for unique, other in known:
        faults[unique] = faults.get(unique) or _difference(other, part)
    unique = next((each for each, fault in faults.items() if not fault), f"{name} ({number})" if faults else name)
    if faults and unique not in faults:
        logger.warning(
            "Two sections are named %r but %s: the later one is called %r here; read it again with another dataset_id, so "
            "that a model knows each of them again.",
            name,
            faults[name],
            unique,
        )
    known.append((unique, part))
    return unique


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
