"""Sections whose image was made worse: the whole job, from the tissue mask to the score, on slides as people have them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.bench.files import read_json
from stsr.bench.sources.boxes import FACTS, Box

if TYPE_CHECKING:
    from spatialdata import SpatialData

DEGRADED = "degraded:"
"""Prefix of the argument of such a section."""

NONE = "none"
"""The image as it is."""


@dataclass(frozen=True)
class Degraded(Box):
    """A box with one of :data:`stsr.datasets.distortions.DISTORTIONS` on its image.

    Parameters
    ----------
    folder
        Where it lies.
    distortion, severity
        What is done to its image, and how badly; ``"none"`` for the image as it is.
    """

    distortion: str
    severity: str

    @classmethod
    def find(cls, argument: str) -> Degraded:
        """The section behind ``degraded:DISTORTION:SEVERITY:FOLDER``."""
        from stsr.datasets.distortions import DISTORTIONS, SEVERITIES

        _, distortion, severity, place = (argument.split(":", 3) + [""] * 3)[:4]
        known = {(NONE, NONE), *((name, bad) for name in DISTORTIONS for bad in SEVERITIES)}
        facts = read_json(Path(place) / FACTS) if place else None
        if (distortion, severity) not in known or facts is None:
            raise ValueError(
                f"section={argument!r} must be {DEGRADED}DISTORTION:SEVERITY:FOLDER with a folder that "
                f"benchmarks/degradation.py made, {' or '.join(SEVERITIES)}, and one of {', '.join(DISTORTIONS)}."
            )
        return cls(f"{facts['name']}/{distortion}_{severity}", argument, Path(place), distortion, severity)

    def picture(self) -> NDArray[np.uint8]:
        """(height, width, 3) the image, made worse."""
        from stsr.datasets.distortions import DISTORTIONS

        picture = super().picture()
        if self.distortion == NONE:
            return picture
        return np.asarray(DISTORTIONS[self.distortion](picture, self.mpp, self.severity, 0))  # type: ignore[arg-type]

    def bins(self, sdata: SpatialData) -> None:
        """None: the grid is not laid over the true bins, but over the tissue that is found."""
