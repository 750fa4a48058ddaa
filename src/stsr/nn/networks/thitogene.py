"""The network of THItoGene: dynamic convolutions and capsules, a transformer over a section, and attention on its graph."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from stsr.nn.layers.attention import TransformerBlock
from stsr.nn.layers.capsules import PrimaryCapsules, RoutedCapsules
from stsr.nn.layers.conv import DynamicConv
from stsr.nn.layers.graph import nearest_edges
from stsr.nn.layers.position import Places

STRIDE = 4
"""Side of the squares of pixels that the first convolution embeds."""

CHANNELS, KERNELS, STRIDES = (16, 32, 64, 64, 128), (5, 3, 3, 3), (1, 1, 1, 2)
"""Channels before and after the four convolutions that follow, sides of their kernels, and their strides."""

CAPSULE = 8
"""Width of a capsule before routing."""

NEIGHBOURS = 4
"""Neighbours of a spot on the graph."""


class ThitoGeneNet(nn.Module):
    """Expression of the spots of one section from their image patches, positions and neighbours.

    Convolutions and routed capsules describe a patch. Learned embeddings of column and row join as two more capsules, and
    every spot attends to all spots of the section. Two graph attention layers then attend to the nearest spots.

    With 785 genes the network has 63,586,712 parameters.

    Parameters
    ----------
    genes
        Number of genes.
    size
        Side of a patch in pixels, a multiple of 4 from 48; published: 112.
    capsules, capsule
        Number of routed capsules and the width of each. A spot's token is ``(capsules + 2) capsule`` wide.
    depth, heads, head, hidden
        Number of transformer blocks, attention heads, the width of each, and of the hidden layer.
    graph_heads, graph_width, latent
        Attention heads of the first graph layer, the width of each, and of the second layer, which has one head.
    slots
        Columns, and rows, of the array of spots that have an embedding; spots beyond share the last one, so pass 128 for
        Visium.
    dropout
        In the transformer.
    faithful
        Attend to the neighbours of a spot alone, as the published code does: then a spot's own patch reaches its own
        prediction through the transformer and its neighbours only. Otherwise it is its own neighbour too.

    References
    ----------
    Jia et al. 2024, "THItoGene: a deep learning method for predicting spatial transcriptomics from histological images",
    Briefings in Bioinformatics 25, bbad464. Graph attention: Velickovic et al. 2018.

    Examples
    --------
    >>> net = ThitoGeneNet(
    ...     5, size=48, capsules=2, capsule=4, depth=1, heads=2, head=4, hidden=8, graph_width=4, latent=8
    ... )
    >>> net(torch.zeros(7, 3, 48, 48), torch.rand(7, 2)).shape
    torch.Size([7, 5])
    """

    def __init__(
        self,
        genes: int,
        *,
        size: int = 112,
        capsules: int = 20,
        capsule: int = 64,
        depth: int = 4,
        heads: int = 16,
        head: int = 64,
        hidden: int = 2048,
        graph_heads: int = 8,
        graph_width: int = 1024,
        latent: int = 512,
        slots: int = 64,
        dropout: float = 0.1,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.dynamic = DynamicConv(3, CHANNELS[0], STRIDE)
        self.convolutions = nn.Sequential(*_convolutions())
        side = size // STRIDE
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            side = (side - kernel) // stride + 1
        self.primary = PrimaryCapsules(CHANNELS[-1], side, CAPSULE)
        self.routed = RoutedCapsules(CHANNELS[-1] // CAPSULE, CAPSULE, capsules, capsule)
        self.places = Places(capsule, slots)
        width = (capsules + 2) * capsule
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, heads, head, hidden, bias=False, dropout=dropout) for _ in range(depth))
        )
        self.graph = GATConv(width, graph_width, graph_heads, bias=False, add_self_loops=not faithful)
        self.graph_out = GATConv(graph_heads * graph_width, latent, bias=False, add_self_loops=not faithful)
        self.head = nn.Sequential(
            nn.Linear(latent, 2 * latent), nn.ReLU(), nn.LayerNorm(2 * latent), nn.Linear(2 * latent, genes)
        )

    def tokens(self, pixels: Tensor, place: Tensor) -> Tensor:
        """(n, width) capsules of patches and positions, before spots see one another."""
        seen = self.routed(self.primary(self.convolutions(self.dynamic(pixels.float() / 255))))
        return torch.cat([seen, torch.stack(self.places.axes(place), dim=1)], dim=1).flatten(1)

    def forward(self, pixels: Tensor, place: Tensor, edges: Tensor | None = None) -> Tensor:
        """(n, genes) expression of the n spots of a section.

        Parameters
        ----------
        pixels
            (n, 3, size, size) red, green and blue, 0 to 255.
        place
            (n, 2) column and row of each spot on the array, counted in spots from 0; between spots they are no whole numbers.
        edges
            (2, edges) from neighbours to spots, without loops; the 4 nearest when None.
        """
        x = self.blocks(self.tokens(pixels, place)[None])[0]
        if edges is None:
            edges = nearest_edges(place, NEIGHBOURS)
        x = F.elu(self.graph(x, edges))
        return self.head(F.elu(self.graph_out(x, edges)))


def _convolutions() -> Iterator[nn.Module]:
    for i, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
        yield from (nn.Conv2d(CHANNELS[i], CHANNELS[i + 1], kernel, stride), nn.ReLU(), nn.BatchNorm2d(CHANNELS[i + 1]))
