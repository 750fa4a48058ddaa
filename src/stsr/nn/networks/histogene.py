"""The network of HisToGene: one token a spot, of its pixels and its position, and a transformer over a whole section."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stsr.nn.layers.attention import TransformerBlock
from stsr.nn.layers.position import Places


class HistoGeneNet(nn.Module):
    """Expression of the spots of one section from their image patches and positions.

    A linear layer embeds the flattened pixels of a patch. Learned embeddings of its column and row are added. Every spot
    then attends to all spots of the section.

    Parameters
    ----------
    genes
        Number of genes.
    size
        Side of a patch in pixels: 112 in the paper, 224 in the benchmark of 2025, whose number of parameters is
        222,253,841 with 785 genes.
    width, depth, heads, head, hidden
        Width of a token, number of transformer blocks, attention heads, the width of each, and of the hidden layer.
    slots
        Columns, and rows, of the array of spots that have an embedding; spots beyond share the last one, so pass 128 for
        Visium.
    dropout
        In the transformer.
    faithful
        Take pixels as they are, 0 to 255, as the published code does; otherwise they are scaled to 0 to 1.

    References
    ----------
    Pang, Su & Li 2021, "Leveraging information in spatial transcriptomics to predict super-resolution gene expression from
    histology images in tumors", bioRxiv 2021.11.28.470212, figure 1 and "Methods".

    Examples
    --------
    >>> net = HistoGeneNet(5, size=8, width=16, depth=1, heads=2, head=8, hidden=32)
    >>> net(torch.zeros(7, 3, 8, 8), torch.zeros(7, 2)).shape
    torch.Size([7, 5])
    """

    def __init__(
        self,
        genes: int,
        *,
        size: int = 224,
        width: int = 1024,
        depth: int = 8,
        heads: int = 16,
        head: int = 64,
        hidden: int = 2048,
        slots: int = 64,
        dropout: float = 0.1,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.scale = 1.0 if faithful else 1 / 255
        self.embed, self.places = nn.Linear(3 * size**2, width), Places(width, slots)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, heads, head, hidden, bias=False, dropout=dropout) for _ in range(depth))
        )
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, genes)

    def forward(self, pixels: Tensor, place: Tensor) -> Tensor:
        """(n, genes) expression of the n spots of a section.

        Parameters
        ----------
        pixels
            (n, 3, size, size) red, green and blue, 0 to 255.
        place
            (n, 2) column and row of each spot on the array, counted in spots from 0; between spots they are no whole numbers.
        """
        return self.expression(self.tokens(pixels, place))

    def tokens(self, pixels: Tensor, place: Tensor) -> Tensor:
        """(n, width), before spots see one another: each depends on its own pixels and place alone."""
        return self.embed(pixels.flatten(1).float() * self.scale) + self.places(place)

    def expression(self, tokens: Tensor) -> Tensor:
        """(n, genes) from the (n, width) tokens of all spots of a section."""
        return self.out(self.norm(self.blocks(tokens[None])[0]))

    def start_at(self, mean: Tensor) -> None:
        """Set the last layer so that the mean expression (genes,) is predicted whatever the patches."""
        with torch.no_grad():
            self.out.weight.zero_()
            self.out.bias.copy_(mean)
