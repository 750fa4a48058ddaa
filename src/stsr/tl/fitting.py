"""From sections with spots to a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.identity import Identity
from stsr.joined import join
from stsr.methods.base import Method, Training
from stsr.methods.model import Model
from stsr.spatial import read_section, record

if TYPE_CHECKING:
    from spatialdata import SpatialData


@dataclass(frozen=True)
class Ready:
    """A section with the names of its grid and, for a method that uses them, of its features."""

    sdata: SpatialData
    grid: str
    features: str | None

    @property
    def encoder(self) -> Identity | None:
        """Encoder of the features; an error when they do not belong to the present grid and image."""
        from stsr.pp.provenance import checked

        return None if self.features is None else checked(self.sdata, self.features, self.grid).encoder


def ready(
    sdata: SpatialData,
    method: Method,
    *,
    bin_size: float = 8.0,
    grid: str | None = None,
    encoder: Any = "texture",
    weights: str | Path | None = None,
    features: str | None = None,
    device: str = "auto",
    progress: bool = True,
    overwrite: bool = False,
) -> Ready:
    """Make grid and features where they are missing or out of date; parameters as in :func:`stsr.tl.fit_super_resolution`."""
    from stsr.pp.extract_features import up_to_date
    from stsr.pp.make_grid import default_grid
    from stsr.pp.provenance import checked

    grid = default_grid(sdata, grid, bin_size)
    if "features" not in method.info.needs:
        return Ready(sdata, grid, None)
    if features is None:
        features = up_to_date(
            sdata, encoder, grid, weights=weights, device=device, progress=progress, overwrite=overwrite
        )
    else:
        checked(sdata, features, grid)
    return Ready(sdata, grid, features)


def fit(sections: Sequence[Ready], method: Method, genes: Sequence[str], *, seed: int = 0, training: Training) -> Model:
    """Fit a method to the spots of one section, or of several as if they were one.

    Raises
    ------
    ValueError
        When the sections' features are of different encoders or weights, or the sections cannot be joined.
    """
    encoder = _one_encoder(sections)
    need_image = "image" in method.info.needs
    section = join(
        [
            read_section(each.sdata, genes=genes, grid=each.grid, features=each.features, need_image=need_image)
            for each in sections
        ]
    )
    method.fit(section, seed=seed, training=training)
    return Model(
        method=method,
        genes=tuple(genes),
        bin_size=round(section.grid.bin_size, 3),
        encoder=encoder,
        seed=seed,
    )


def _one_encoder(sections: Sequence[Ready]) -> Identity | None:
    """Encoder of the features of all sections; an error when there are several."""
    first, *others = [section.encoder for section in sections]
    for section, other in zip(sections[1:], others, strict=True):
        if first is not None and other is not None and not first.same(other):
            names = [record(each.sdata).dataset_id for each in (sections[0], section)]
            raise ValueError(
                f"features={section.features!r} of section {names[1]!r} were made by encoder {other.told}, those of "
                f"{names[0]!r} by {first.told}; extract those of one encoder with the same weights from all."
            )
    return first
