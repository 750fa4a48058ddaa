"""EGNv1 with a lighter bridge: a vision transformer over the pixels of a patch, which takes from its exemplars by gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stsr.nn.layers.attention import TransformerBlock
from stsr.nn.layers.exemplars import ExemplarBridge

EVERY = 2
"""Transformer blocks before each bridge."""

RESIDUAL = 0.5
"""Weight of the mean by attention, relative to the plain one, where tokens are pooled."""


class EgnV1Lite(nn.Module):
    """Expression of patches from their pixels and from exemplars: similar spots of other sections.

    Squares of pixels are the tokens of a vision transformer, to which positions are added before every block. After every
    second block tokens take features and expression of the exemplars through gates. The tokens are pooled, joined by the
    features by which exemplars were found, and mapped to genes. A patch is predicted by itself.

    With 785 genes it has 122,671,889 parameters, where EGNv1 has 135,041,329: the description that this network was built
    from leaves the layers of the bridge open, and what the pooled tokens are joined by. So it is not the published network
    and has a name of its own.

    Parameters
    ----------
    genes
        Number of genes.
    size, square
        Sides of a patch and of the squares, in pixels. Published: 256, and 224 in the benchmark of 2025, and 32.
    width, depth, heads, head, hidden
        Width of a token, number of transformer blocks, attention heads, the width of each, and of the hidden layer.
    features
        Width of the features by which exemplars were found; published: 2048, of a ResNet50.
    inner
        Width of the gates: 8 heads of 64.

    References
    ----------
    Yang et al. 2023, "Exemplar guided deep neural network for spatial transcriptomics analysis of gene expression
    prediction", WACV, arXiv 2210.16721. Transformer: Dosovitskiy et al. 2021. Pooling: Zhu & Wu 2021, "Residual attention: a
    simple but effective method for multi-label recognition", equation 5, with one attention for all genes.

    Examples
    --------
    >>> net = EgnV1Lite(5, size=8, square=4, width=16, depth=2, heads=2, head=8, hidden=32, features=6, inner=8)
    >>> patches, own, exemplars = torch.zeros(7, 3, 8, 8), torch.rand(7, 6), torch.rand(20, 6)
    >>> net(patches, own, torch.randint(20, (7, 9)), exemplars, torch.rand(20, 5)).shape
    torch.Size([7, 5])
    """

    def __init__(
        self,
        genes: int,
        *,
        size: int = 224,
        square: int = 32,
        width: int = 1024,
        depth: int = 8,
        heads: int = 16,
        head: int = 64,
        hidden: int = 4096,
        features: int = 2048,
        inner: int = 512,
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, square, square)
        self.position = nn.Parameter(0.02 * torch.randn((size // square) ** 2, width))
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, head, hidden, bias=False) for _ in range(depth))
        self.bridges = nn.ModuleList(ExemplarBridge(width, features, genes, inner) for _ in range(depth // EVERY))
        self.score = nn.Linear(width, 1, bias=False)
        self.head = nn.Sequential(nn.LayerNorm(width + features), nn.Linear(width + features, genes))

    def forward(
        self, pixels: Tensor, features: Tensor, index: Tensor, exemplar_features: Tensor, exemplar_expression: Tensor
    ) -> Tensor:
        """(n, genes) expression of n patches.

        Parameters
        ----------
        pixels, features
            (n, 3, size, size) red, green and blue, 0 to 255, and (n, features) of the same patches.
        index
            (n, k) positions of the exemplars of each patch among those below.
        exemplar_features, exemplar_expression
            (spots, features) and (spots, genes) of all spots that may be exemplars.
        """
        exemplars = exemplar_features[index], exemplar_expression[index]
        tokens = self.embed(pixels.float() / 255).flatten(2).transpose(1, 2)
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens + self.position)
            if number % EVERY == 0:
                tokens = self.bridges[number // EVERY - 1](tokens, *exemplars)
        return self.head(torch.cat([self.pooled(tokens), features], dim=1))

    def pooled(self, tokens: Tensor) -> Tensor:
        """(n, width), the mean of (n, t, width) tokens and half of their mean by attention."""
        attended = (self.score(tokens).softmax(dim=1) * tokens).sum(dim=1)
        return tokens.mean(dim=1) + RESIDUAL * attended
