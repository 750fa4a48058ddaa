"""TCGN with lighter graph blocks: expression of a spot by convolutions, attention and a graph within its patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import MethodInfo, register
from stsr.methods.expected import LEAST, Array, Expected
from stsr.methods.histology.patch_method import QUICK, TOTAL, PatchConfig, PatchMethod
from stsr.nn.training.recipe import Recipe
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.networks.tcgn_lite import TcgnLite as Network

TILE = 32
"""Sides of patches are multiples of it, in pixels."""

PUBLISHED_PIXELS = 112
"""Of the image, resized to 224, in a published patch."""

PATCH = 56.0
"""Side of a patch in µm: 112 pixels of 0.5 µm, as a scan at 20x has them."""


@dataclass(frozen=True)
class TcgnLiteConfig(PatchConfig):
    """Options of TCGN with lighter graph blocks.

    Parameters
    ----------
    faithful
        Target and training as published: log(1 + 10⁴ y / l), with l the sum of the genes that are predicted, by Adam with a
        learning rate of 1e-5, from 112 pixels of the image, whatever their size. (Ours in both modes: the graph blocks, and
        that the best epoch is chosen on held-out spots, not on the section to be predicted; patches are turned by quarters
        and mirrored, not by any angle.)
    weights
        A local file of weights of the trunk; ``"random"`` starts untrained. Those that CMT-Ti was published with have other
        names and are not downloaded, so None is refused.
    patch
        Side of a patch in µm. None: 56, or as published.
    pixels
        Side of a patch in pixels, as the network gets it: a multiple of 32.
    spacing
        Largest distance in µm between points that are predicted. None: half of a patch.
    epochs, states, learning_rate, batch
        Largest number of epochs, ensemble members (their median is used), learning rate, and spots per step. None: 80, 1, 1e-4
        and 32, or the published 80, 1, 1e-5 and 32.
    patience
        Epochs without a lower validation loss after which training ends; not used when faithful.
    held_out
        Share of the spots that is held out for validation: of several patients or sections, whole ones.
    """

    corrected: ClassVar = {"epochs": 80, "states": 1, "learning_rate": 1e-4, "batch": 32}
    published: ClassVar = corrected | {"learning_rate": 1e-5}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pixels % TILE:
            raise ValueError(f"pixels={self.pixels} is not allowed; pass a multiple of {TILE}, such as 224.")

    def recipe(self, **changes: Any) -> Recipe:
        """By Adam as published, or by AdamW."""
        return super().recipe(**(({"optimizer": "adam"} if self.faithful else {}) | changes))


@register
class TcgnLiteMethod(PatchMethod):
    """Expression of a spot by CMT-Ti, with a graph of the tokens that attend to one another most within its patch.

    The network (``stsr.nn.networks.tcgn_lite.TcgnLite``) has the trunk and the head of TCGN, and graph blocks of the
    same kind: edges from attention, node and edge convolutions, channel attention. Their widths and place in TCGN are not
    known here, so it is not the published network and has a name of its own.

    Formula
    -------
    ::

        f(x) = out(hidden(project(graphs and trunk)(x)))
        λ_g(b) = c_g (exp(f_g(x_b)) - 1) L̄ / (10⁴ a)
        trained by:  Σ_s Σ_g (f_g(x_s) - log(1 + 10⁴ y_sg / L_s))²

    - f(x): log(1 + 10⁴ y / L) of a spot with counts y and library L at the centre of patch x
    - L̄: median library of the spots; a: cells in a spot; c_g: a factor, 10 at most, that makes predicted counts of the
      spots add up to the measured ones
    - b: a point of the coarse lattice, between which cells are interpolated

    Architecture
    ------------
    - ``mean``, ``sd`` ← patch: colours, centred and scaled
    - ``trunk`` ← ``mean``, ``sd``: CMT-Ti, a stem and four stages of convolutions and attention
    - ``graphs`` ← ``trunk``: graphs of the tokens of one stage
    - ``project`` ← ``graphs``, ``trunk``: convolution of one pixel, mean over the patch
    - ``hidden`` ← ``project``: linear layer
    - ``out`` ← ``hidden``: linear layer, target of each gene

    Source
    ------
    Trunk, head and the kind of graph blocks follow the publication; widths and place of the graph blocks are ours. By
    default the target is that of all methods of image patches. ``faithful=True`` takes the published target and
    optimiser; the options say what differs even then.

    Use
    ---
    To see what a graph of tokens adds to a convolutional transformer. There are no published weights in timm's form:
    pass a file of your own, or ``weights="random"``.
    """

    info: ClassVar = MethodInfo(
        name="tcgn_lite",
        title="CMT-Ti and lighter graph blocks on the image patch of a spot (after TCGN)",
        paper="Xiao et al., Medical Image Analysis 91",
        year=2024,
        references=("tcgn2024",),
        needs=frozenset({"image"}),
        gives=frozenset({"history"}),
        faithful=True,
        quick=QUICK,
    )
    Config: ClassVar = TcgnLiteConfig

    @property
    def trunk(self) -> str:
        """The one it has."""
        return "CMT-Ti"

    def network(self, genes: int, weights: str | None) -> Network:
        """CMT-Ti, graphs and head."""
        from stsr.nn.networks.tcgn_lite import TcgnLite as Network

        if weights is None:
            raise ValueError(
                "weights=None is not allowed with method='tcgn_lite', since weights of CMT-Ti are not downloaded; pass a "
                "file of weights of the trunk, or 'random'."
            )
        return Network(genes, pixels=self.config.pixels, weights=weights)

    def patch_size(self, section: Section) -> float:
        """Side in µm of a patch; as published, of 112 pixels of the image."""
        if self.config.patch is not None:
            return self.config.patch
        return PUBLISHED_PIXELS * section.raster.mpp if self.config.faithful else PATCH

    def published_target(self, section: Section) -> NDArray[np.float32]:
        """log(1 + 10⁴ y / l); ``arrays`` keeps the median sum l of the genes of a spot, ``genes_library``."""
        counts = section.counts.toarray()
        total = np.maximum(counts.sum(axis=1), 1)
        self.arrays["genes_library"] = np.array([np.median(total)])
        return np.log1p(counts * (np.float32(TOTAL) / total)[:, None])

    def published_counts(self, values: NDArray[np.float32]) -> NDArray[np.floating]:
        """Y of a spot of the median sum."""
        return np.expm1(values) * (self.arrays["genes_library"] / TOTAL)

    def published_arrays(self, genes: int) -> Expected:
        """The median sum."""
        yield "genes_library", Array((1,), low=LEAST)
