"""ST-Net: expression of a spot as a linear function of what a pretrained network sees in its patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import MethodInfo, register
from stsr.methods.histology.patch_method import TINY, PatchConfig, PatchMethod
from stsr.methods.shared.image_patches import PatchDataset
from stsr.nn.backbones import NETWORK
from stsr.nn.training.recipe import SYMMETRIES, Recipe
from stsr.options import Switch
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.networks.stnet import StNet as Network

COLOUR_PATCHES = 12 * 32
"""Patches from which the published procedure estimates mean and standard deviation of colours: about 12 batches."""


@dataclass(frozen=True)
class StNetConfig(PatchConfig):
    """Options of ST-Net.

    Parameters
    ----------
    faithful
        As published: the target is log((1 + y) / (n + L)), with n genes and library L; the optimiser is SGD with momentum .9
        on the sum of squared errors over the spots of a batch; a patch has ``pixels`` pixels of the image, whatever their
        size; colours are scaled by the mean and standard deviation of the first training patches. (Ours in both modes: n
        counts the genes that are predicted; the best epoch is chosen on held-out spots, not by four-fold cross-validation.)
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
    turned
        Whether predictions are means over the eight symmetries of a patch, as published; that takes eight times as long.
    epochs, states, learning_rate, batch
        Largest number of epochs, ensemble members (their median is used), learning rate, and spots per step. None: 50, 1, 1e-4
        and 32, or the published 50, 1, 1e-6 and 32.
    patience
        Epochs without a lower validation loss after which training ends; not used when faithful.
    held_out
        Share of the spots that is held out for validation: of several patients or sections, whole ones.
    """

    corrected: ClassVar = {"epochs": 50, "states": 1, "learning_rate": 1e-4, "batch": 32}
    published: ClassVar = corrected | {"learning_rate": 1e-6}

    backbone: Annotated[str, NETWORK] = "densenet121"
    turned: Annotated[bool, Switch()] = True

    def recipe(self, **changes: Any) -> Recipe:
        """As published, or by AdamW."""
        published = {"optimizer": "sgd", "momentum": 0.9, "reduction": "sum"}
        return super().recipe(**((published if self.faithful else {}) | changes))


@register
class StNet(PatchMethod):
    """Expression of a spot as a linear function of the features that DenseNet-121 makes of its patch.

    The network (``stsr.nn.networks.stnet.StNet``) starts with the weights learned from ImageNet and a linear layer
    that gives every patch the mean expression, and all of it is trained. Its predictions are averaged over the eight
    symmetries of the square.

    Formula
    -------
    ::

        f(x) = out(encoder(x))
        λ_g(b) = c_g (exp(f_g(x_b)) - 1) L̄ / (10⁴ a)
        trained by:  Σ_s Σ_g (f_g(x_s) - log(1 + 10⁴ y_sg / L_s))²

    - f(x): log(1 + 10⁴ y / L) of a spot with counts y and library L at the centre of patch x
    - L̄: median library of the spots; a: cells in a spot; c_g: a factor, 10 at most, that makes predicted counts of the
      spots add up to the measured ones
    - b: a point of the coarse lattice, between which cells are interpolated

    Architecture
    ------------
    - ``encoder`` ← patch: DenseNet-121, features of the patch
    - ``out`` ← ``encoder``: linear layer, target of each gene

    Source
    ------
    The network, its first weights and the mean over symmetries follow the publication. By default the target is that of
    all methods of image patches, the optimiser is AdamW, and the best epoch is chosen on held-out spots.
    ``faithful=True`` takes the published target, loss and optimiser; the options say what differs even then.

    Use
    ---
    To predict sections from their image alone, and as the first network of its kind, to compare others with. Needs
    weights learned from ImageNet and, for training in minutes, a GPU.
    """

    info: ClassVar = MethodInfo(
        name="stnet",
        title="DenseNet-121 on the image patch of a spot",
        paper="He et al., Nature Biomedical Engineering 4",
        year=2020,
        references=("stnet2020",),
        needs=frozenset({"image"}),
        gives=frozenset({"history"}),
        faithful=True,
        quick=TINY,
    )
    Config: ClassVar = StNetConfig

    def network(self, genes: int, weights: str | None) -> Network:
        """DenseNet-121 and a linear layer."""
        from stsr.nn.networks.stnet import StNet as Network

        return Network(genes, backbone=self.config.backbone, weights=weights)

    def begin(self, net: Network, data: PatchDataset) -> None:
        """Mean expression and, as published, colours of the spots that it is trained on."""
        import torch

        super().begin(net, data)
        if self.config.faithful:
            colours = np.stack([data.patches[i] for i in range(min(COLOUR_PATCHES, len(data)))]) / 255.0
            net.encoder.mean.copy_(torch.as_tensor(colours.mean(axis=(0, 1, 2))))
            net.encoder.sd.copy_(torch.as_tensor(np.maximum(colours.std(axis=(0, 1, 2)), 1 / 255)))

    @property
    def turns(self) -> int:
        """All of them, or one."""
        return SYMMETRIES if self.config.turned else 1

    def published_target(self, section: Section) -> NDArray[np.float32]:
        """log((1 + y) / (n + L)), with n genes and library L."""
        total = len(section.genes) + section.library[:, None]
        return np.log((1 + section.counts.toarray()) / total).astype(np.float32)

    def published_counts(self, values: NDArray[np.float32]) -> NDArray[np.floating]:
        """Y of a spot of the median library."""
        return np.exp(values) * (values.shape[1] + self.arrays["library"]) - 1
