"""Which spots a method trains on, and which it holds out to choose the best epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stsr.section import Section


def validation_split(
    section: Section, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spots to train on and spots to validate on.

    Patients are held out as a whole where the spots are from several and all are named, else sections where there are
    several: what a network learned of one patient or slide would make it look better on its other spots. Of one section,
    single spots are held out.

    Parameters
    ----------
    section
        With the names of section and patient of each spot.
    share
        Of the spots that are held out, at least; fewer where that would be all patients or sections.
    rng
        Chooses them.

    Returns
    -------
    Positions of the spots, in random order: none is in both, and both have at least one when there are two spots.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import scipy.sparse as sp
    >>> from stsr.geometry import Disc, Grid
    >>> grid = Grid(np.diag([8.0, 8.0, 1.0]), np.ones((9, 9), dtype=bool))
    >>> section = Section((), np.zeros((5, 2)), Disc(9.0), sp.csr_array((5, 0)), np.ones(5), grid)
    >>> learned, held_out = validation_split(section, 0.2, np.random.default_rng(0))
    >>> len(learned), len(held_out)
    (4, 1)
    >>> joined = replace(section, section_name=np.array(["A", "A", "B", "B", "B"]))
    >>> learned, held_out = validation_split(joined, 0.2, np.random.default_rng(0))
    >>> set(joined.spot_section[learned]) & set(joined.spot_section[held_out])
    set()
    """
    _, group, size = np.unique(_groups(section), return_inverse=True, return_counts=True)
    order = rng.permutation(len(size))
    enough = int(np.searchsorted(size[order].cumsum(), share * len(group))) + 1
    held = np.isin(group, order[: min(enough, len(size) - 1)])
    return rng.permutation(np.flatnonzero(~held)), rng.permutation(np.flatnonzero(held))


def _groups(section: Section) -> NDArray:
    """(spots,) what is held out as a whole: the patient, the section or the spot itself."""
    patient = section.spot_patient
    if (patient != "").all() and len(np.unique(patient)) > 1:
        return patient
    if len(np.unique(section.spot_section)) > 1:
        return section.spot_section
    return np.arange(len(section.spots))
