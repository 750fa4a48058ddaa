"""Image patches through a network of timm: the first part of all networks that take one patch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stsr.nn.backbones import create_backbone


class PatchEncoder(nn.Module):
    """Features of RGB patches by a network of timm, whose own scale of colours is kept among the weights.

    Parameters
    ----------
    backbone, weights, options
        Its name, its weights and further arguments of it, as :func:`stsr.nn.backbones.create_backbone` takes them.
    """

    mean: Tensor
    sd: Tensor

    def __init__(
        self, backbone: str, *, weights: str | Path | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.backbone = create_backbone(backbone, weights=weights, options=options)
        config = self.backbone.pretrained_cfg
        for name, values in (("mean", config["mean"]), ("sd", config["std"])):
            self.register_buffer(name, torch.tensor(values))

    @property
    def width(self) -> int:
        """Number of features."""
        # The two differ in networks that widen their features after pooling, such as VGG and MobileNet.
        return getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features

    def forward(self, patches: Tensor) -> Tensor:
        """(n, width) features of (n, 3, pixels, pixels) uint8 patches."""
        colours = patches.float() / 255
        return self.backbone((colours - self.mean[:, None, None]) / self.sd[:, None, None])
