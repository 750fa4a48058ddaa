"""The network of TCGN with lighter graph blocks: CMT-Ti, and a graph of the tokens of a patch in its third stage."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from stsr.nn.backbones import UNTRAINED, load_weights
from stsr.nn.layers.cmt import CmtStage, conv_norm
from stsr.nn.layers.token_graph import TokenGraph

STEM = 16
WIDTHS, HEADS, REDUCTIONS, DEPTHS = (46, 92, 184, 368), (1, 2, 4, 8), (8, 4, 2, 1), (2, 2, 10, 2)
"""Of the four stages of CMT-Ti (Guo et al., CVPR 2022, Table 1)."""

IMAGENET = {"mean": (0.485, 0.456, 0.406), "sd": (0.229, 0.224, 0.225)}
"""Of the colours of ImageNet."""

PROJECTED, HIDDEN = 1280, 5120
"""Channels before pooling, and the hidden layer after it."""

GRAPH_STAGE, GRAPHS = 2, 2
"""After which stage, counted from 0, the graph blocks come, and how many."""


class CmtTi(nn.Module):
    """The trunk of CMT-Ti: a stem and four stages. With its classifier of 1000 outputs it has 9.49 M parameters at 160 pixels.

    Parameters
    ----------
    pixels
        Side of an image, a multiple of 32.
    """

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm(3, STEM, kernel=3, stride=2), conv_norm(STEM, STEM, kernel=3), conv_norm(STEM, STEM, kernel=3)
        )
        sides = [pixels // step for step in (4, 8, 16, 32)]
        inputs = (STEM, *WIDTHS[:-1])
        stages = zip(inputs, WIDTHS, HEADS, REDUCTIONS, DEPTHS, sides, strict=True)
        self.stages = nn.ModuleList(CmtStage(*stage) for stage in stages)


class TcgnLite(nn.Module):
    """Expression of a spot by CMT-Ti with graphs of tokens.

    Trunk and head are those of TCGN. Two graph blocks follow the third stage, on the tokens of 16 x 16 pixels. Widths and
    place of TCGN's own graph blocks are not known here; with them it has 29 M parameters by Wang et al. (2025), and 86 M by
    its authors.

    Parameters
    ----------
    genes
        Number of genes.
    pixels
        Side of a patch, a multiple of 32.
    weights
        A file of weights of :class:`CmtTi`, or ``"random"``.

    References
    ----------
    Xiao et al., Medical Image Analysis 91, 2024.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, genes: int, *, pixels: int = 224, weights: str | Path = UNTRAINED) -> None:
        super().__init__()
        self.trunk = CmtTi(pixels)
        if weights != UNTRAINED:
            load_weights(self.trunk, weights, title="CMT-Ti")
        for name, values in IMAGENET.items():
            self.register_buffer(name, torch.tensor(values))
        side = pixels // (4 << GRAPH_STAGE)
        self.graphs = nn.Sequential(*(TokenGraph(WIDTHS[GRAPH_STAGE], side) for _ in range(GRAPHS)))
        self.project = nn.Sequential(nn.Conv2d(WIDTHS[-1], PROJECTED, 1), nn.BatchNorm2d(PROJECTED), nn.SiLU())
        self.hidden = nn.Sequential(nn.Linear(PROJECTED, HIDDEN), nn.SiLU())
        self.out = nn.Linear(HIDDEN, genes)

    def forward(self, patches: Tensor) -> Tensor:
        """(n, genes) expression of (n, 3, pixels, pixels) uint8 patches."""
        x = self.trunk.stem((patches.float() / 255 - self.mean[:, None, None]) / self.sd[:, None, None])
        for number, stage in enumerate(self.trunk.stages):
            x = stage(x)
            if number == GRAPH_STAGE:
                x = self.graphs(x)
        return self.out(self.hidden(self.project(x).mean(dim=(2, 3))))

    def start_at(self, mean: Tensor) -> None:
        """Set the output bias to the mean expression (genes,)."""
        with torch.no_grad():
            self.out.bias.copy_(mean)
