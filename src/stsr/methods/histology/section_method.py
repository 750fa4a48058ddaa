"""What the methods share that predict all spots of a section at once, from their image patches and positions."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stsr.arguments import LENGTH
from stsr.geometry import Grid
from stsr.methods.base import Prediction, Predictor
from stsr.methods.expected import Array, Expected, Facts
from stsr.methods.histology.duration import Estimate
from stsr.methods.histology.patch_method import BATCH, PatchMethod
from stsr.methods.shared.coarse_prediction import CoarseLattice
from stsr.methods.shared.ensembles import EnsembleConfig, load_states
from stsr.methods.shared.image_patches import ImagePatches, PatchDataset
from stsr.nn.training.recipe import CLIP_NORM, Recipe
from stsr.options import Number, Whole
from stsr.section import Section

if TYPE_CHECKING:
    from torch import nn

TINY = 1e-6
"""In pitches: points this near to the next whole position count as there."""


@dataclass(frozen=True)
class SectionConfig(EnsembleConfig):
    """Options that all methods of whole sections have; a subclass documents them and what None means."""

    patch: Annotated[float | None, Number(1, 10_000, optional=True)] = None
    pixels: Annotated[int, Whole(4, 1024)] = 112
    spacing: Annotated[float | None, Number(1, 10_000, optional=True)] = None
    slots: Annotated[int, Whole(1, 4096, optional=True)] = None  # type: ignore[assignment]

    def recipe(self, **changes: Any) -> Recipe:
        """A section a batch, by AdamW, its patches turned and mirrored alike; with changes."""
        options = {"batch": None, "clip_norm": None if self.faithful else CLIP_NORM}
        ours = {} if self.faithful else {"optimizer": "adamw", "symmetries": True}
        return super().recipe(**(options | ours | changes))


@dataclass(frozen=True, eq=False)
class PlacedPatches(PatchDataset):
    """Patches, the positions of their spots on the array, and what is to be predicted.

    Parameters
    ----------
    places
        (n, 2) float32, column and row of each spot, counted in pitches.

    Examples
    --------
    >>> data = PlacedPatches([np.zeros((4, 4, 3), np.uint8)], np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32))
    >>> [values.shape for values in data[0]]
    [(3, 4, 4), (2,), (2,)]
    """

    places: NDArray[np.float32]

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[NDArray[Any], ...]:  # type: ignore[override]
        """Patch, position and target."""
        patch, target = super().__getitem__(item)
        return patch, self.places[item[0] if isinstance(item, tuple) else item], target


class SectionMethod(PatchMethod):
    r"""Counts of a cell from the image patches and positions of all spots of a section, which see one another.

    Target, units, and what is learned from which spots are those of
    :class:`~stsr.methods.histology.patch_method.PatchMethod`. A batch is a section, or a part of one that has more than
    ``batch`` spots. Positions are counted in pitches of the section that was learned from, from the first spot or cell on:
    unlike columns and rows of an array they are known where no spots are.

    Points are predicted on a coarse lattice, which is denser than the spots. It is divided into interleaved lattices about as
    dense as the spots, each of which is predicted as a section, so that a network sees as many points around each as in
    training. As published (``faithful=True``), all points see one another.
    """

    @abstractmethod
    def section_network(self, genes: int) -> nn.Module:
        """A network from patches and positions (n, 2) to targets (n, genes), also in two steps: ``tokens``, ``expression``."""

    def network(self, genes: int, weights: str | None) -> nn.Module:
        """The network, which has no pretrained weights."""
        return self.section_network(genes)

    def untrained(self, genes: int) -> nn.Module:
        """The network that training starts with."""
        return self.section_network(genes)

    def check_network(self) -> None:
        """Nothing is to be refused: the network is made for the size of patches."""

    def fit(self, section: Section, **how: Any) -> Any:
        """Train the networks; ``arrays`` holds the pitch of spots beside what all methods of image patches keep."""
        self._check_extent(section)
        fitted = super().fit(section, **how)
        fitted.arrays["pitch"] = np.array([section.pitch])
        return fitted

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield from super().expected(facts)
        yield "pitch", Array((1,), low=LENGTH.low, high=LENGTH.high)

    def dataset(
        self, section: Section, part: NDArray[np.int64], patches: ImagePatches, target: NDArray[np.float32]
    ) -> PatchDataset:
        """With the positions of spots."""
        return PlacedPatches(patches, target, spot_places(section)[part])

    def batches(self, section: Section, learned: NDArray[np.int64], held_out: NDArray[np.int64]) -> Any:
        """Sections, or parts of them."""
        places, names = spot_places(section), section.spot_section
        return tuple(parts(places[some], names[some], self.config.batch) for some in (learned, held_out))

    def spot_rates(self, section: Section, device: str) -> NDArray[np.float32]:
        """(spots, genes) predicted counts per cell at the spots that were fitted to, section by section."""
        places = spot_places(section)
        return self._rates(section, device, section.spots, places, section.spot_section)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Apply the networks to the image of ``section``; its spots are not used."""
        pitch = float(self.arrays["pitch"][0])
        spacing = self.config.spacing or float(self.arrays["patch"][0]) / 2
        lattice = CoarseLattice.of(section.grid, spacing)
        places = _places(section.grid, lattice.points, pitch)
        steps = 1 if self.config.faithful else max(1, round(pitch / spacing))
        which = np.floor(places * steps + TINY).astype(np.int64) % steps @ np.array([1, steps])
        rates: list[NDArray[np.float32]] = []

        def predict(rows: slice) -> Prediction:
            if not rates:
                rates.append(self._rates(section, device, lattice.points, places, which))
            return Prediction(lattice.weights(rows) @ rates[0])

        return predict

    def _rates(
        self,
        section: Section,
        device: str,
        xy: NDArray[np.float64],
        places: NDArray[np.float32],
        which: ArrayLike,
    ) -> NDArray[np.float32]:
        """(n, genes) counts per cell at points, of which those of one section, ``which``, see one another."""
        from stsr.nn.training.trainer import fork_seed

        config, arrays, genes = self.config, self.arrays, len(self.arrays["top"])
        with fork_seed(0):  # the weights are replaced; the caller's generator is left as it was
            untrained = [self.section_network(genes) for _ in range(config.states)]
        nets = load_states(untrained, arrays, device)
        patches = ImagePatches(section.raster, xy, self.patch_size_on(section), config.pixels)
        values = np.empty((len(xy), genes), dtype=np.float32)
        estimate = Estimate(f"Prediction with method={self.info.name!r}", len(xy))
        part = parts(places, which, config.batch)
        for one in range(part.max() + 1):
            points = np.flatnonzero(part == one)
            values[points] = estimate.timed(lambda some: _values(nets, patches, places, some), points)
        return (self._spot_counts(np.minimum(values, arrays["top"])) * arrays["factor"]).astype(np.float32)

    def _check_extent(self, section: Section) -> None:
        """Refuse sections with more positions than there are embeddings."""
        if len(section.spots) > 1:
            needed = int(np.ceil(spot_places(section).max())) + 1
            if needed > self.config.slots:
                raise ValueError(
                    f"slots={self.config.slots} are fewer than the {needed} positions across the spots; pass "
                    f"slots={needed} or more."
                )


def spot_places(section: Section) -> NDArray[np.float32]:
    """(spots, 2) positions in pitches along columns and rows of the grid, from the first spot of each section on."""
    places = np.empty((len(section.spots), 2), dtype=np.float32)
    for name in np.unique(section.spot_section):
        own = section.spot_section == name
        places[own] = _places(section.grid, section.spots[own], section.pitch)
    return places


def parts(places: NDArray[np.floating], which: ArrayLike, most: int) -> NDArray[np.int64]:
    """(n,) numbers from 0 of sections ``which`` (n,) and, of those with more than ``most`` points, of their parts.

    Parts are neighbouring columns or rows of points (n, 2), and nearly of one size.

    Examples
    --------
    >>> parts(np.array([[0, 0], [3, 0], [1, 0], [2, 0], [0, 0]]), ["A", "A", "A", "A", "B"], most=2)
    array([0, 1, 0, 1, 2])
    """
    _, section = np.unique(which, return_inverse=True)
    numbers, count = np.empty(len(places), dtype=np.int64), 0
    for one in range(section.max() + 1):
        own = np.flatnonzero(section == one)
        extent = np.ptp(places[own], axis=0)
        along = own[np.argsort(places[own, int(extent[1] > extent[0])], kind="stable")]
        for points in np.array_split(along, -(-len(own) // most)):
            numbers[points], count = count, count + 1
    return numbers


def _places(grid: Grid, xy: NDArray[np.float64], pitch: float) -> NDArray[np.float32]:
    """(n, 2) positions in pitches along columns and rows of the grid, as joined sections have them, from the first point on."""
    index = grid.to_index(xy)
    return ((index - index.min(axis=0)) * (grid.bin_size / pitch)).astype(np.float32)


def _values(
    nets: list[Any], patches: ImagePatches, places: NDArray[np.float32], points: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(n, genes) median over networks for points that see one another; their patches are read and embedded in batches."""
    import torch

    device = next(nets[0].parameters()).device
    tokens: list[list[Any]] = [[] for _ in nets]
    with torch.inference_mode():
        for first in range(0, len(points), BATCH):
            some = points[first : first + BATCH]
            pixels = np.stack([np.ascontiguousarray(np.moveaxis(patches[point], -1, 0)) for point in some])
            inputs = torch.as_tensor(pixels, device=device), torch.as_tensor(places[some], device=device)
            for net, kept in zip(nets, tokens, strict=True):
                kept.append(net.tokens(*inputs))
        values = [net.expression(torch.cat(kept)).float().cpu().numpy() for net, kept in zip(nets, tokens, strict=True)]
    return np.median(values, axis=0)
