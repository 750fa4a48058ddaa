"""From sections with spots to a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stsr.joined import join
from stsr.methods.base import Method, Training
from stsr.methods.model import Model
from stsr.spatial import read_section, record

if TYPE_CHECKING:
    from spatialdata import SpatialData


@dataclass(frozen=True)
class Ready:
    """A section with the names of its grid and, for a method that looks at them, of its features."""

    sdata: SpatialData
    grid: str
    features: str | None

    @property
    def encoder(self) -> str | None:
        """Encoder behind the features."""
        from stsr.pp.extract_features import encoder_of

        return None if self.features is None else encoder_of(self.sdata, self.features)


def ready(
    sdata: SpatialData,
    method: Method,
    *,
    bin_size: float = 8.0,
    grid: str | None = None,
    encoder: Any = "texture",
    features: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Ready:
    """Make of grid and features what is missing; parameters as in :func:`stsr.tl.fit_super_resolution`."""
    from stsr.pp.extract_features import extract_features
    from stsr.pp.make_grid import default_grid

    grid = default_grid(sdata, grid, bin_size)
    if "features" not in method.info.needs:
        return Ready(sdata, grid, None)
    if features is None:
        features = extract_features(sdata, encoder=encoder, grid=grid, device=device, progress=progress)
    return Ready(sdata, grid, features)


def fit(sections: Sequence[Ready], method: Method, genes: Sequence[str], *, seed: int = 0, training: Training) -> Model:
    """Fit a method to the spots of one section, or of several as if they were one.

    Raises
    ------
    ValueError
        When the features of the sections are of different encoders, or they cannot be joined.
    """
    first = sections[0]
    for other in sections[1:]:
        if other.encoder != first.encoder:
            names = [record(section.sdata).dataset_id for section in (first, other)]
            raise ValueError(
                f"features={other.features!r} of section {names[1]!r} were made by encoder {other.encoder!r}, those of "
                f"{names[0]!r} by {first.encoder!r}; extract those of one encoder from all."
            )
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
        encoder=first.encoder,
        n_features=section.n_features,
        seed=seed,
    )
