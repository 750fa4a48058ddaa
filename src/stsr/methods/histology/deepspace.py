"""DeepSpaCE: expression of a spot by VGG-16 from a patch that is wider than the spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.geometry import Disc
from stsr.methods.base import MethodInfo, register
from stsr.methods.expected import Array, Expected
from stsr.methods.histology.patch_method import TINY, PatchConfig, PatchMethod
from stsr.methods.shared.targets import LEAST_SD
from stsr.nn.backbones import NETWORK
from stsr.nn.training.recipe import Recipe
from stsr.options import Whole
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.networks.deepspace import DeepSpace as Network

SPOT_WIDTHS = 2.5
"""Side of a patch, in widths of a spot."""


@dataclass(frozen=True)
class DeepSpaceConfig(PatchConfig):
    """Options of DeepSpaCE.

    Parameters
    ----------
    faithful
        As published: the target is log10(1 + corrected counts), scaled to 0 to 1 by the smallest and the largest value of
        each gene over all spots, those of validation included; the optimiser is Adam with a weight decay of 1e-4. (Ours in
        both modes: counts are corrected by dividing by the library, in place of SCTransform, which is in R; patches are
        turned and mirrored, but neither recoloured nor blurred; the best epoch is that of the lowest loss; there are no
        rounds on unlabelled images, which the publication leaves optional.)
    backbone
        A network of timm. It is trained with the rest.
    weights
        A local file with weights of the backbone; None takes the published ones, from ImageNet, which are downloaded;
        ``"random"`` starts untrained.
    patch
        Side of a patch in µm. None: 2.5 widths of a spot, as published.
    pixels
        Side of a patch in pixels, as the network gets it.
    spacing
        Largest distance in µm between points that are predicted. None: half of a patch.
    epochs, states, learning_rate, batch
        Largest number of epochs, ensemble members (their median is used), learning rate, and spots per step. None: 50, 1, 1e-4
        and 32, or the published 50, 1, 1e-4 and 128.
    patience
        Epochs without a lower validation loss after which training ends.
    held_out
        Share of the spots that is held out for validation: of several patients or sections, whole ones.
    """

    corrected: ClassVar = {"epochs": 50, "states": 1, "learning_rate": 1e-4, "batch": 32}
    published: ClassVar = corrected | {"batch": 128}

    backbone: Annotated[str, NETWORK] = "vgg16"
    patience: Annotated[int, Whole(1, 100_000)] = 5

    def recipe(self, **changes: Any) -> Recipe:
        """The Huber loss, by Adam with weight decay as published, or by AdamW."""
        published = {"optimizer": "adam", "weight_decay": 1e-4} if self.faithful else {}
        return super().recipe(**({"loss": "smooth_l1", "patience": self.patience} | published | changes))


@register
class DeepSpace(PatchMethod):
    """Expression of a spot by VGG-16 from a patch of 2.5 widths of the spot.

    The network (``stsr.nn.networks.deepspace.DeepSpace``) starts with the weights learned from ImageNet, and all of it
    is trained by a loss that is linear beyond an error of 1. The publication predicts two more points for each spot,
    between it and its neighbours; here all points of the lattice are predicted in the same way.

    Formula
    -------
    ::

        f(x) = out(encoder(x))
        λ_g(b) = c_g (exp(f_g(x_b)) - 1) L̄ / (10⁴ a)
        trained by:  Σ_s Σ_g smooth L1 of f_g(x_s) - log(1 + 10⁴ y_sg / L_s)

    - f(x): log(1 + 10⁴ y / L) of a spot with counts y and library L at the centre of patch x
    - L̄: median library of the spots; a: cells in a spot; c_g: a factor, 10 at most, that makes predicted counts of the
      spots add up to the measured ones
    - b: a point of the coarse lattice, between which cells are interpolated

    Architecture
    ------------
    - ``encoder`` ← patch: VGG-16 with its two hidden linear layers, 4,096 features
    - ``out`` ← ``encoder``: linear layer, target of each gene

    Source
    ------
    Network, loss and size of a patch follow the publication. By default the target is that of all methods of image
    patches. ``faithful=True`` takes a target of each gene and the published optimiser; the options say what differs even
    then, such as the rounds of training on predicted labels, which are not there.

    Use
    ---
    To predict sections from their image alone, and to compare with the published method. It has 137 million weights: for
    training within an hour it needs a GPU.
    """

    info: ClassVar = MethodInfo(
        name="deepspace",
        title="VGG-16 on the image patch of a spot (DeepSpaCE)",
        paper="Monjo et al., Scientific Reports 12",
        year=2022,
        references=("deepspace2022",),
        needs=frozenset({"image"}),
        gives=frozenset({"history"}),
        faithful=True,
        quick=TINY,
    )
    Config: ClassVar = DeepSpaceConfig

    def network(self, genes: int, weights: str | None) -> Network:
        """VGG-16."""
        from stsr.nn.networks.deepspace import DeepSpace as Network

        return Network(genes, backbone=self.config.backbone, weights=weights)

    def patch_size(self, section: Section) -> float:
        """Side in µm of a patch."""
        if self.config.patch is not None:
            return self.config.patch
        aperture = section.aperture
        return SPOT_WIDTHS * (aperture.diameter if isinstance(aperture, Disc) else aperture.side)

    def patch_size_on(self, section: Section) -> float:
        """As learned."""
        return float(self.arrays["patch"][0])

    def published_target(self, section: Section) -> NDArray[np.float32]:
        """Logarithms scaled to 0 to 1; ``arrays`` keeps the smallest and the largest of each gene, ``low`` and ``high``."""
        logs = np.log10(1 + section.counts.toarray() * self._correction(section)).astype(np.float32)
        low = logs.min(axis=0)
        self.arrays |= {"low": low, "high": np.maximum(logs.max(axis=0), low + np.float32(LEAST_SD))}
        return (logs - low) / (self.arrays["high"] - low)

    def published_counts(self, values: NDArray[np.float32]) -> NDArray[np.floating]:
        """Corrected counts."""
        low, high = self.arrays["low"], self.arrays["high"]
        return 10 ** (low + values * (high - low)) - 1

    def published_arrays(self, genes: int) -> Expected:
        """Scale of the logarithms."""
        yield "low", Array((genes,), low=0)
        yield "high", Array((genes,), low=0)

    def _correction(self, section: Section) -> NDArray[np.float32]:
        """(spots, 1) factor that gives a spot the median library."""
        return (self.arrays["library"] / np.maximum(section.library, 1))[:, None].astype(np.float32)
