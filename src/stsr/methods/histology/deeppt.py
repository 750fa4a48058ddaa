"""DeepPT: expression of a spot from a compressed code of what a pretrained network sees in its patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import MethodInfo, register
from stsr.methods.histology.patch_method import TINY, PatchConfig, PatchMethod
from stsr.nn.backbones import NETWORK
from stsr.nn.training.recipe import Recipe
from stsr.section import Section

if TYPE_CHECKING:
    from torch import nn

    from stsr.nn.networks.deeppt import CodedRegression
    from stsr.nn.networks.deeppt import DeepPt as Network


@dataclass(frozen=True)
class DeepPtConfig(PatchConfig):
    """Options of DeepPT.

    Parameters
    ----------
    faithful
        As it was adapted to spots in the comparison of Wang et al. (2025): the target is the raw counts, the optimiser Adam,
        and a patch has ``pixels`` pixels of the image, whatever their size. (Ours in both modes: the learning rate; the autoencoder is trained
        together with the rest, since it is not stated whether it was trained before; patches are mirrored as well as
        turned; of ensemble members the median is used, not the mean.)
    backbone
        A network of timm. It is trained with the rest.
    weights
        A local file with weights of the backbone; None takes the published ones, from ImageNet, which are downloaded;
        ``"random"`` starts untrained.
    patch
        Side of a patch in µm. None: 112, or as published.
    pixels
        Side of a patch in pixels, as the network gets it.
    spacing
        Largest distance in µm between points that are predicted. None: half of a patch.
    epochs, states, learning_rate, batch
        Largest number of epochs, ensemble members (their median is used), learning rate, and spots per step. None: 50, 1, 1e-4
        and 32, or the published 500, 5, 1e-4 and 32.
    patience
        Epochs without a lower validation loss after which training ends; not used when faithful.
    held_out
        Share of the spots that is held out for validation: of several patients or sections, whole ones.
    """

    corrected: ClassVar = {"epochs": 50, "states": 1, "learning_rate": 1e-4, "batch": 32}
    published: ClassVar = corrected | {"epochs": 500, "states": 5}

    backbone: Annotated[str, NETWORK] = "resnet50"

    def recipe(self, **changes: Any) -> Recipe:
        """By Adam as published, or by AdamW."""
        return super().recipe(**(({"optimizer": "adam"} if self.faithful else {}) | changes))


@register
class DeepPt(PatchMethod):
    """Expression of a spot from a code of 512 values, to which the features that ResNet-50 makes of its patch are compressed.

    The network (``stsr.nn.networks.deeppt.DeepPt``) starts with the weights learned from ImageNet, and all of it is
    trained. It was published for the bulk expression of whole slides.

    Formula
    -------
    ::

        f(x) = out(hidden(compress(encoder(x))))
        λ_g(b) = c_g (exp(f_g(x_b)) - 1) L̄ / (10⁴ a)
        trained by:  mean of (f_g(x_s) - log(1 + 10⁴ y_sg / L_s))², and of the squared error of restored features

    - f(x): log(1 + 10⁴ y / L) of a spot with counts y and library L at the centre of patch x
    - L̄: median library of the spots; a: cells in a spot; c_g: a factor, 10 at most, that makes predicted counts of the
      spots add up to the measured ones
    - b: a point of the coarse lattice, between which cells are interpolated

    Architecture
    ------------
    - ``encoder`` ← patch: ResNet-50, features of the patch
    - ``compress`` ← ``encoder``: linear layer, code of 512 values
    - ``restore`` ← ``compress``: linear layer, the features again, for the loss
    - ``hidden`` ← ``compress``: linear layer with dropout
    - ``out`` ← ``hidden``: linear layer, target of each gene

    Source
    ------
    The three parts and the sizes of their layers follow the publication, in the form to which Wang et al. (2025) adapted
    it for spots. By default the target is that of all methods of image patches, and the autoencoder is trained with
    the rest. ``faithful=True`` takes the published target and optimiser; the options say what differs even then.

    Use
    ---
    To predict sections from their image alone, and to compare with the published method. Needs weights learned from
    ImageNet and, for training in minutes, a GPU.
    """

    info: ClassVar = MethodInfo(
        name="deeppt",
        title="ResNet-50, an autoencoder and a perceptron on the image patch of a spot",
        paper="Hoang et al., Nature Cancer 5",
        year=2024,
        references=("deeppt2024",),
        needs=frozenset({"image"}),
        gives=frozenset({"history"}),
        faithful=True,
        quick=TINY,
    )
    Config: ClassVar = DeepPtConfig

    def network(self, genes: int, weights: str | None) -> Network:
        """ResNet-50, autoencoder and perceptron."""
        from stsr.nn.networks.deeppt import DeepPt as Network

        return Network(genes, backbone=self.config.backbone, weights=weights)

    def learner(self, net: nn.Module, recipe: Recipe) -> CodedRegression:
        """With the error of the restored features."""
        from stsr.nn.networks.deeppt import CodedRegression

        return CodedRegression(net, recipe=recipe)

    def published_target(self, section: Section) -> NDArray[np.float32]:
        """Raw counts."""
        return section.counts.toarray()

    def published_counts(self, values: NDArray[np.float32]) -> NDArray[np.floating]:
        """The same."""
        return values
