"""What the methods share that predict the expression of a spot from the image patch around it."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import LENGTH
from stsr.methods.base import Method, Prediction, Predictor, Training
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.histology.duration import Estimate, training_seconds
from stsr.methods.shared.coarse_prediction import CoarseLattice, CoarsePredictor
from stsr.methods.shared.ensembles import EnsembleConfig, load_states, networks, numbered
from stsr.methods.shared.image_patches import ImagePatches, PatchDataset, symmetry
from stsr.methods.shared.points import gene_factors
from stsr.methods.shared.requirements import require_spots, whole_spots
from stsr.methods.shared.targets import log_normalised
from stsr.methods.shared.validation import validation_split
from stsr.nn.backbones import UNTRAINED
from stsr.nn.training.recipe import CLIP_NORM, Recipe
from stsr.options import Number, Text, Whole
from stsr.section import Section

if TYPE_CHECKING:
    from torch import nn

    from stsr.nn.training.regression import Regression

logger = logging.getLogger(__name__)

TOTAL = 1e4
"""Library size to which counts are normalised before the logarithm."""

PATCH = 112.0
"""Side of a patch in µm: 224 pixels of 0.5 µm, as a scan at 20x has them."""

BATCH = 32
"""Patches predicted at a time."""

QUICK = {"weights": UNTRAINED, "pixels": 32, "patch": 48.0, "spacing": 60.0, "epochs": 2, "states": 1}
"""Small patches and few epochs, with which a method is fitted in seconds, and learns next to nothing."""

TINY = QUICK | {"backbone": "test_resnet"}
"""The same with a tiny backbone."""

PointCounts = Callable[[NDArray[np.float64]], NDArray[np.float32]]
"""From points (n, 2) in µm to the counts (n, genes) of a spot there."""


@dataclass(frozen=True)
class PatchConfig(EnsembleConfig):
    """Options that all methods of image patches have; a subclass documents them and what None means."""

    weights: Annotated[str | None, Text(200, optional=True)] = None
    patch: Annotated[float | None, Number(1, 10_000, optional=True)] = None
    pixels: Annotated[int, Whole(16, 1024)] = 224
    spacing: Annotated[float | None, Number(1, 10_000, optional=True)] = None

    def recipe(self, **changes: Any) -> Recipe:
        """AdamW, patches turned and mirrored at random, the epoch with the lowest validation loss; with changes."""
        options = {"optimizer": "adamw", "symmetries": True, "clip_norm": None if self.faithful else CLIP_NORM}
        return super().recipe(**(options | changes))


class PatchMethod(Method):
    r"""Counts of a cell from the image patch around it, by a network that is trained on the patches of spots.

    The network predicts the target :math:`f(x)` of a spot at any point from the patch :math:`x` around it, and is trained
    on the patches of spots with at least nine tenths of their area on tissue. By default the target is
    :math:`\log(1 + 10^4 y / L)` for all methods, with counts :math:`y` and library :math:`L`, so that methods differ by
    their networks and not by what they predict; ``faithful=True`` takes the published one.

    Points are predicted on a coarse lattice, at most ``spacing`` apart, and interpolated to the cells. Predictions, at most
    the largest target of a spot, are turned back into counts of a spot of the median library, and divided by the cells of a
    spot. Each gene is then multiplied by a factor, 10 at most, that makes predicted counts of the spots add up to the
    measured ones.

    A subclass gives the network, ``published_target`` and ``published_counts``; what else may be overridden are ``learner``,
    ``begin``, ``patch_size``, ``patch_size_on``, ``trunk`` and ``turns``. Methods of whole sections override more: see
    :class:`~stsr.methods.histology.section_method.SectionMethod`.
    """

    @abstractmethod
    def network(self, genes: int, weights: str | None) -> nn.Module:
        """A network from patches (n, 3, pixels, pixels) uint8 to targets (n, genes), with a method ``start_at(mean)``."""

    @abstractmethod
    def published_target(self, section: Section) -> NDArray[np.float32]:
        """(spots, genes) as published; what is needed to turn it back is put into ``arrays``."""

    @abstractmethod
    def published_counts(self, values: NDArray[np.float32]) -> NDArray[np.floating]:
        """(n, genes) counts of a spot from published targets."""

    def published_arrays(self, genes: int) -> Expected:
        """The arrays that :meth:`published_target` keeps."""
        yield from ()

    def learner(self, net: nn.Module, recipe: Recipe) -> Regression:
        """The network with its loss."""
        from stsr.nn.training.regression import Supervised

        return Supervised(net, recipe=recipe)

    def begin(self, net: Any, data: PatchDataset) -> None:
        """Prepare a new network for the spots that it is trained on: it begins with their mean."""
        import torch

        net.start_at(torch.as_tensor(data.targets.mean(axis=0)))

    def untrained(self, genes: int) -> nn.Module:
        """The network that training starts with."""
        return self.network(genes, self.config.weights)

    def dataset(
        self, section: Section, part: NDArray[np.int64], patches: ImagePatches, target: NDArray[np.float32]
    ) -> PatchDataset:
        """What a network is trained on, or validated on, of some spots of a section, with their patches and targets."""
        return PatchDataset(patches, target)

    def batches(self, section: Section, learned: NDArray[np.int64], held_out: NDArray[np.int64]) -> Any:
        """What makes one batch of the spots to train on and of those to validate on; None for any spots."""
        return None

    def spot_rates(self, section: Section, device: str) -> NDArray[np.float32]:
        """(spots, genes) predicted counts per cell at the spots that were fitted to."""
        return self._counts(section, device)(section.spots)

    def patch_size(self, section: Section) -> float:
        """Side in µm of a patch; as published, ``pixels`` of the image, whatever their size."""
        if self.config.patch is not None:
            return self.config.patch
        return self.config.pixels * section.raster.mpp if self.config.faithful else PATCH

    def patch_size_on(self, section: Section) -> float:
        """Side in µm of a patch of a section that is predicted: as learned or, of published pixels, as large as these are."""
        return self.patch_size(section) if self.config.faithful else float(self.arrays["patch"][0])

    @property
    def trunk(self) -> str:
        """Name of the network that gives the features of a patch."""
        return self.config.backbone

    @property
    def turns(self) -> int:
        """Of how many symmetries of a patch the predictions are averaged."""
        return 1

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train the networks; ``arrays`` holds their weights, the size of a patch and what turns targets into counts."""
        image = section.raster
        require_spots(section, self.info.name)
        used = section.subset(whole_spots(section))
        self.check_network()
        self.arrays = {"library": np.array([used.depth]), "patch": np.array([self.patch_size(used)])}
        target = self._target(used)
        self.arrays["top"] = target.max(axis=0)
        weights, self.history = numbered(
            [self._train(used, image, target, (seed, state), training) for state in range(self.config.states)]
        )
        self.arrays |= weights | {"factor": np.full_like(target[0], 1 / used.spot_cells)}
        predicted = self.spot_rates(used, training.device) * np.float32(used.spot_cells)
        self.arrays["factor"] = self.arrays["factor"] * gene_factors(used, predicted)
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield "library", Array((1,), low=LEAST)
        yield "patch", Array((1,), low=LENGTH.low, high=LENGTH.high)
        yield "top", Array((facts.genes,))
        yield "factor", Array((facts.genes,), low=0)
        if self.config.faithful:
            yield from self.published_arrays(facts.genes)
        yield from networks(lambda: self.network(facts.genes, UNTRAINED), self.config.states)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Apply the networks to the image of ``section``; its spots are not used."""
        counts = self._counts(section, device)
        lattice = CoarseLattice.of(section.grid, self.config.spacing or float(self.arrays["patch"][0]) / 2)
        estimate = Estimate(f"Prediction with method={self.info.name!r}", len(lattice.points))
        coarse = CoarsePredictor(lattice, len(self.arrays["top"]), lambda xy: estimate.timed(counts, xy))
        return lambda rows: Prediction(coarse(rows))

    def _target(self, section: Section) -> NDArray[np.float32]:
        """(spots, genes) that the networks predict."""
        return self.published_target(section) if self.config.faithful else log_normalised(section, TOTAL)

    def _spot_counts(self, values: NDArray[np.float32]) -> NDArray[np.floating]:
        """(n, genes) counts of a spot of the median library from targets."""
        if self.config.faithful:
            return np.maximum(self.published_counts(values), 0)
        return np.maximum(np.expm1(values), 0) * (self.arrays["library"] / TOTAL)

    def _train(
        self, section: Section, image: Any, target: NDArray[np.float32], seed: tuple[int, int], training: Training
    ) -> tuple[nn.Module, dict[str, list[float]]]:
        """A network trained on some spots, with the weights of its best epoch on the others, and its losses."""
        from stsr.nn.training.fit import fit
        from stsr.nn.training.trainer import fork_seed

        config, rng = self.config, np.random.default_rng(seed)
        learned, held_out = validation_split(section, config.held_out, rng)
        if len(learned) % config.batch == 1:  # a batch of one patch has no variance to normalise by
            learned = learned[:-1]
        size, own = float(self.arrays["patch"][0]), int(rng.integers(2**31))
        data, check = (
            self.dataset(section, part, ImagePatches(image, section.spots[part], size, config.pixels), target[part])
            for part in (learned, held_out)
        )
        with fork_seed(own):
            net = self.untrained(target.shape[1])
        self.begin(net, data)
        seconds = training_seconds(net, data, len(check), config.epochs, training.device)
        Estimate.tell(f"Training of method={self.info.name!r} for all of {config.epochs} epochs", seconds)
        module, sections = self.learner(net, config.recipe()), self.batches(section, learned, held_out)
        return net, fit(module, data, check, seed=own, training=training, sections=sections)

    def _counts(self, section: Section, device: str) -> PointCounts:
        """The predictor of counts per cell at points of a section."""
        from stsr.nn.training.trainer import fork_seed

        config, arrays, image = self.config, self.arrays, section.raster
        with fork_seed(0):  # the weights are replaced; the caller's generator is left as it was
            untrained = [self.network(len(arrays["top"]), UNTRAINED) for _ in range(config.states)]
        nets = load_states(untrained, arrays, device)
        size = self.patch_size_on(section)

        def counts(xy: NDArray[np.float64]) -> NDArray[np.float32]:
            patches = ImagePatches(image, xy, size, config.pixels)
            values = np.concatenate(
                [
                    _values(nets, np.stack([patches[i] for i in range(first, min(first + BATCH, len(xy)))]), self.turns)
                    for first in range(0, len(xy), BATCH)
                ]
            )
            return (self._spot_counts(np.minimum(values, arrays["top"])) * arrays["factor"]).astype(np.float32)

        return counts

    def check_network(self) -> None:
        """Refuse patches of a size that the backbone does not take, before any weights are read; tell an untrained one."""
        import torch

        config = self.config
        with torch.device("meta"):
            net = self.network(1, UNTRAINED).eval()
            try:
                net(torch.empty(1, 3, config.pixels, config.pixels, dtype=torch.uint8))
            except (AssertionError, RuntimeError, ValueError) as error:
                raise ValueError(
                    f"pixels={config.pixels} is not allowed with backbone={self.trunk!r}; pass the size of the images that "
                    "it takes, such as 224."
                ) from error
        if config.weights == UNTRAINED:
            logger.warning(
                "method=%r starts from a %s that has learned nothing, as weights='random' asks: it was published with "
                "weights learned from ImageNet.",
                self.info.name,
                self.trunk,
            )


def _values(nets: list[Any], patches: NDArray[np.uint8], turns: int) -> NDArray[np.float32]:
    """(n, genes) median over networks of the mean over symmetries, for patches (n, pixels, pixels, 3)."""
    import torch

    device = next(nets[0].parameters()).device
    total: Any = 0
    with torch.inference_mode():
        for k in range(turns):
            turned = np.ascontiguousarray(np.moveaxis(symmetry(patches, k), -1, 1))
            x = torch.as_tensor(turned, device=device)
            total = total + np.stack([net(x).float().cpu().numpy() for net in nets])
    return np.median(total, axis=0) / np.float32(turns)
