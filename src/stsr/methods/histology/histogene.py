"""HisToGene: expression of all spots of a section from their pixels and positions, by a transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import MethodInfo, register
from stsr.methods.expected import LEAST, Array, Expected
from stsr.methods.histology.section_method import SectionConfig, SectionMethod
from stsr.nn.training.recipe import Recipe
from stsr.options import Whole, shown
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.networks.histogene import HistoGeneNet as Network

HEAD = 64
"""Width of an attention head."""

TOTAL = 1e4
"""Sum of the chosen genes to which the published target scales counts."""


@dataclass(frozen=True)
class HistoGeneConfig(SectionConfig):
    """Options of HisToGene.

    Parameters
    ----------
    faithful
        As published: the target is log10(1 + 10^4 y / L), with L the sum over the chosen genes; pixels are not scaled; the
        optimiser is Adam; patches are not turned; the last epoch is kept; a patch has ``pixels`` pixels of the image, whatever
        their size; all predicted points see one another. (Ours in both modes: training starts at the mean expression, and
        positions are measured, not read from the array. Training spots are those left by ``held_out``.)
    patch
        Side of a patch in µm. None: 112, or as published.
    pixels
        Side of a patch in pixels, as the network gets it.
    spacing
        Largest distance in µm between points that are predicted. None: half of a patch.
    width, depth
        Width of a token, a multiple of 64, and number of transformer blocks. The published 1024 and 8 have 100 million
        parameters; 256 and 2 are quick without a GPU.
    slots
        Positions across a section, in pitches, that are told apart. None: 128, or the published 64.
    epochs, states, learning_rate
        Largest number of epochs, ensemble members (their median is used), and learning rate. None: 200, 1 and 1e-4, or the
        published 100, 1 and 1e-5.
    batch
        Largest number of spots that see one another: larger sections are cut into parts. None: 1024, or whole sections as
        published.
    patience
        Epochs without a lower validation loss after which training ends; not used when faithful.
    held_out
        Share of the spots that is held out for validation: of several patients or sections, whole ones. Of one section,
        spots are held out, and see only one another.
    """

    corrected: ClassVar = {"epochs": 200, "states": 1, "learning_rate": 1e-4, "batch": 1024, "slots": 128}
    published: ClassVar = {"epochs": 100, "states": 1, "learning_rate": 1e-5, "batch": 10_000_000, "slots": 64}

    patience: Annotated[int, Whole(1, 100_000)] = 20
    width: Annotated[int, Whole(HEAD, 4096)] = 1024
    depth: Annotated[int, Whole(1, 64)] = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % HEAD:
            raise ValueError(f"width={shown(self.width)} is not allowed; pass a multiple of {HEAD}.")

    def recipe(self, **changes: Any) -> Recipe:
        """As published, for all epochs and to the last, or ours."""
        return super().recipe(**(({"keep": "last"} if self.faithful else {}) | changes))


@register
class HistoGene(SectionMethod):
    """Expression of a spot from its pixels, its position and all other spots of the section, by a transformer.

    The network (``stsr.nn.networks.histogene.HistoGeneNet``) is trained a section a batch. It has no pretrained
    weights, and learns little from few sections.

    Formula
    -------
    ::

        f(x) = out(norm(blocks(embed(x) + places(b))))
        λ_g(b) = c_g (exp(f_g(x_b)) - 1) L̄ / (10⁴ a)
        trained by:  mean of (f_g(x_s) - log(1 + 10⁴ y_sg / L_s))²

    - f(x): log(1 + 10⁴ y / L) of a spot with counts y and library L at the centre of patch x
    - L̄: median library of the spots; a: cells in a spot; c_g: a factor, 10 at most, that makes predicted counts of the
      spots add up to the measured ones
    - b: a point of the coarse lattice, between which cells are interpolated

    Architecture
    ------------
    - ``embed`` ← patch: linear layer of all pixels
    - ``places`` ← position: an embedding of the column and one of the row, in pitches
    - ``blocks`` ← ``embed``, ``places``: transformer blocks over all spots of the section
    - ``norm`` ← ``blocks``: layer normalisation
    - ``out`` ← ``norm``: linear layer, target of each gene

    Source
    ------
    The network and its sizes follow the publication. By default pixels are scaled, patches are turned and mirrored, the
    optimiser is AdamW, and the lattice of predicted points is divided into lattices as dense as the spots.
    ``faithful=True`` takes the published target, optimiser and last epoch, and lets all points see one another.

    Use
    ---
    To compare with the published method, on many sections. On one or a few sections a ridge regression on image
    features predicts more.
    """

    info: ClassVar = MethodInfo(
        name="histogene",
        title="A transformer over the image patches of all spots",
        paper="Pang et al., bioRxiv 2021.11.28.470212",
        year=2021,
        references=("histogene2021",),
        needs=frozenset({"image"}),
        gives=frozenset({"history"}),
        faithful=True,
        quick={"width": 64, "depth": 1, "pixels": 8, "patch": 48.0, "spacing": 60.0, "epochs": 2, "states": 1},
    )
    Config: ClassVar = HistoGeneConfig

    def section_network(self, genes: int) -> Network:
        """A linear layer on pixels, positions, and transformer blocks."""
        from stsr.nn.networks.histogene import HistoGeneNet as Network

        config = self.config
        return Network(
            genes,
            size=config.pixels,
            width=config.width,
            depth=config.depth,
            heads=config.width // HEAD,
            head=HEAD,
            hidden=2 * config.width,
            slots=config.slots,
            faithful=config.faithful,
        )

    def published_target(self, section: Section) -> NDArray[np.float32]:
        """log10(1 + 10^4 y / L), with L the sum over the chosen genes; its median is kept."""
        counts = section.counts.toarray()
        chosen = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        self.arrays["chosen"] = np.array([np.median(chosen)], dtype=np.float64)
        return np.log10(1 + TOTAL * counts / chosen).astype(np.float32)

    def published_arrays(self, genes: int) -> Expected:
        """The median sum over the chosen genes."""
        yield "chosen", Array((1,), low=LEAST)

    def published_counts(self, values: NDArray[np.float32]) -> NDArray[np.floating]:
        """Y of a spot with the median sum over the chosen genes."""
        return (10**values - 1) * (self.arrays["chosen"] / TOTAL)
