"""Exemplars: the spots of other sections and patients whose features are most alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.options import Whole

K = Whole(1, 10**6)

BLOCK_VALUES = 2**23
"""Values in memory at a time: 64 MB as float64."""


@dataclass(frozen=True, eq=False)
class Exemplars:
    r"""An exact nearest-neighbour index over features of spots that leaves out a query's own section and patient.

    Nearest exemplars as in EGN (Yang et al. 2023, "Exemplar Guided Deep Neural Network for Spatial Transcriptomics Analysis
    of Gene Expression Prediction", WACV): the distance of a query :math:`q` to a spot :math:`e` is
    :math:`\lVert q - e \rVert_2`.
    Without the exclusion a spot would find itself and its neighbours on the slide in training, and nothing of the kind on
    a new slide.

    Parameters
    ----------
    features
        (spots, width) float64.
    section, patient
        (spots,) names. A section without a name, ``""``, is one section; patients without a name are all different.
    """

    features: NDArray[np.float64]
    section: NDArray[np.str_]
    patient: NDArray[np.str_]

    @classmethod
    def build(cls, features: ArrayLike, section: ArrayLike, patient: ArrayLike) -> Self:
        """Index spots.

        Parameters
        ----------
        features
            (spots, width) finite values, on one scale where each is to count the same.
        section, patient
            (spots,) names of the section and patient of each, such as :attr:`stsr.section.Section.spot_section`.

        Raises
        ------
        ValueError
            When the shapes do not agree, or a feature is not finite.
        """
        values, sections, patients = _checked(features, section, patient)
        return cls(values, sections, patients)

    def query(
        self, features: ArrayLike, section: ArrayLike, patient: ArrayLike, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The nearest spots of other sections and patients.

        The answer for a query does not depend on the others it is asked with.

        Parameters
        ----------
        features
            (n, width) of the queries.
        section, patient
            (n,) names of their section and patient.
        k
            How many spots to find for each.

        Returns
        -------
        indices, distances
            (n, k) positions of the spots in the index, and their Euclidean distances: the nearest first, and of several
            at one distance the first in the index.

        Raises
        ------
        ValueError
            When the arguments' shapes do not agree, a feature is not finite, or fewer than ``k`` spots are of another
            section and patient.

        Examples
        --------
        >>> index = Exemplars.build([[0.0], [1.0], [5.0]], ["A1", "B1", "C1"], ["A", "B", "C"])
        >>> index.query([[0.2], [0.2]], ["A1", "C1"], ["A", "C"], k=1)
        (array([[1],
               [0]]), array([[0.8],
               [0.2]]))
        """
        values, sections, patients = _checked(features, section, patient)
        if values.shape[1] != self.features.shape[1]:
            raise ValueError(
                f"features are {values.shape[1]} a query and {self.features.shape[1]} a spot of the index; pass those of "
                "one encoder."
            )
        k = K("k", k)
        indices = np.empty((len(values), k), dtype=np.int64)
        distances = np.empty((len(values), k))
        for own_section, own_patient, queries in _groups(sections, patients):
            others = np.flatnonzero(self._others(own_section, own_patient))
            if len(others) < k:
                raise ValueError(_too_few(len(others), k, own_section, own_patient))
            known = self.features[others]
            step = max(1, BLOCK_VALUES // max(len(others), k * known.shape[1]))
            for start in range(0, len(queries), step):
                block = queries[start : start + step]
                place, distances[block] = _nearest(values[block], known, k)
                indices[block] = others[place]
        return indices, distances

    def _others(self, section: str, patient: str) -> NDArray[np.bool_]:
        """(spots,) those of other sections and patients."""
        others = self.section != section
        return others & (self.patient != patient) if patient else others


def _checked(
    features: ArrayLike, section: ArrayLike, patient: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.str_]]:
    """Features and names as arrays that belong together."""
    values = np.asarray(features, dtype=np.float64)
    sections, patients = np.asarray(section, dtype=np.str_), np.asarray(patient, dtype=np.str_)
    if values.ndim != 2 or sections.shape != (len(values),) or patients.shape != (len(values),):
        raise ValueError(
            "features, section and patient must be (n, width), (n,) and (n,), got "
            f"{values.shape}, {sections.shape} and {patients.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError("features hold NaN or infinite values; leave out the spots without an image.")
    return values, sections, patients


def _groups(section: NDArray[np.str_], patient: NDArray[np.str_]) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Each section and patient, and the positions of its queries."""
    pairs, group = np.unique(np.stack([section, patient]), axis=1, return_inverse=True)
    for number, (one, other) in enumerate(pairs.T):
        yield str(one), str(other), np.flatnonzero(group == number)


def _nearest(
    queries: NDArray[np.float64], known: NDArray[np.float64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n, k) positions in ``known`` and distances.

    ‖q‖² - 2 q·e + ‖e‖² takes one matrix product, but its last digits are lost, and depend on how many queries are asked. So
    it only chooses the candidates, with room for its rounding error; their distances come from the differences.
    """
    squares, own = (known**2).sum(axis=1), (queries**2).sum(axis=1)[:, None]
    rough = own - 2 * queries @ known.T + squares
    # Higham 2002, eq. 3.5: an inner product of n terms is off by at most nε/(1 - nε) Σ|aᵢbᵢ|; here with a factor of 4 to spare.
    error = 4 * (known.shape[1] + 4) * np.finfo(np.float64).eps * (own + squares.max())
    bound = np.partition(rough, k - 1, axis=1)[:, k - 1 : k] + 2 * error
    indices = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k))
    for row, (query, near) in enumerate(zip(queries, rough <= bound, strict=True)):
        candidates = np.flatnonzero(near)
        distance = np.sqrt(((known[candidates] - query) ** 2).sum(axis=1))
        first = np.argsort(distance, kind="stable")[:k]
        indices[row], distances[row] = candidates[first], distance[first]
    return indices, distances


def _too_few(left: int, k: int, section: str, patient: str) -> str:
    """What to say where fewer than ``k`` spots are left."""
    whose = f"section {section!r}" + (f" and patient {patient!r}" if patient else "")
    return (
        f"k={k} exemplars are wanted from outside {whose}, where the index has {left or 'no'} spots; fit on more sections, of "
        "other patients."
    )
