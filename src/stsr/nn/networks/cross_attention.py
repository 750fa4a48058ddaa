"""Image-guided, bidirectional cross-attention between a cell's image tokens and the measured spots around it.

Shapes: ``n`` patches (a spot and some cells), ``p`` cells a patch, ``k`` neighbouring spots, ``h`` heads, ``g`` genes,
``d`` token width. Where ``g + 1`` is written, the last column is the library size: all genes together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stsr.nn.layers.gene_subsets import ALL, select_genes
from stsr.nn.layers.mlp import perceptron
from stsr.nn.networks.image_tokens import ImageTokens, field_of_view
from stsr.nn.networks.patch import Patch

MEAN_SCORE = -4.0
"""Initial attention score of the mean expression; a spot at no distance with no image match scores 0."""

LOG_THETA = 2.0
"""Initial logarithm of the inverse dispersion of every gene."""

IMAGE_HEADS = 4
"""Attention heads of :class:`ExpressionQueriesImage`."""


class ImageQueriesExpression(nn.Module):
    """Cells attend to spots: interpolation of expression by image similarity and distance.

    Queries are cell tokens, keys are the image features of spots, values are measured expression. The score of a head
    is ``query . key / sqrt(width) - distance / length`` with a learned length, a negative linear distance bias as in
    ALiBi (Press et al., ICLR 2022). One more key, whose value is the section's mean expression and whose score is
    learned, is used where no spot matches. Each gene mixes the heads by its own softmax.
    """

    def __init__(self, dim: int, features: int, genes: int, *, heads: int, width: int, lengths: tuple[float, float]):
        super().__init__()
        self.heads, self.width = heads, width
        self.query = nn.Linear(dim, heads * width)
        self.key = perceptron(features, dim, heads * width)
        self.log_length = nn.Parameter(torch.linspace(math.log(lengths[0]), math.log(lengths[1]), heads))
        self.away = nn.Parameter(torch.full((heads,), MEAN_SCORE))
        self.choice = nn.Parameter(torch.zeros(heads, genes + 1))

    def attention(self, tokens: Tensor, features: Tensor, distance: Tensor) -> Tensor:
        """(n, p, h, k + 1) weights from (n, p, d) tokens, (n, k, features) of spots and (n, p, k) distances in µm."""
        n, p, k = distance.shape
        query = self.query(tokens).view(n, p, self.heads, self.width)
        key = self.key(features).view(n, k, self.heads, self.width)
        match = torch.einsum("nphw,nkhw->nphk", query, key) / math.sqrt(self.width)
        score = match - distance[:, :, None, :] / self.log_length.exp()[:, None]
        no_match = self.away[:, None].expand(n, p, self.heads, 1)
        return torch.cat([score, no_match], dim=-1).softmax(dim=-1)

    def interpolate(self, attention: Tensor, density: Tensor, mean: Tensor, genes: slice = ALL) -> Tensor:
        """(n, p, g + 1) counts per cell of a gene subset: the heads' interpolations, mixed by each gene's softmax over heads.

        Heads and neighbours are contracted in one product, so the (n, p, h, g) array is never built.
        """
        n, p, h, k1 = attention.shape
        values = select_genes(torch.cat([density, mean.expand(n, 1, -1)], dim=1), genes)
        chosen = select_genes(self.choice, genes).softmax(dim=0)[None, :, None, :] * values[:, None, :, :]
        return attention.reshape(n, p, h * k1) @ chosen.reshape(n, h * k1, -1)


class ExpressionQueriesImage(nn.Module):
    """The expression interpolated at a cell attends to the image around the cell.

    Queries are embeddings of the interpolated expression. Keys and values are the tokens of 3 x 3 cells, ``reach`` cells
    apart, centred on the cell.
    """

    def __init__(self, dim: int, *, heads: int, reach: int) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.query, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)

    def forward(self, expression: Tensor, key_values: Tensor, rowcol: Tensor) -> Tensor:
        """(n, p, d) context from (n, p, d) expression embeddings, an (h, w, 2 d) map and (n, p, 2) positions in it.

        The map holds the keys and values of the tokens, from ``key_value``.
        """
        n, p, d = expression.shape
        steps = torch.arange(-1, 2, device=key_values.device) * self.reach
        rows = rowcol[..., 0, None, None] + steps[:, None]
        cols = rowcol[..., 1, None, None] + steps[None, :]
        place = (rows * key_values.shape[1] + cols).flatten(2)
        around = F.embedding(place, key_values.flatten(0, 1)).view(n * p, len(steps) ** 2, 2, self.heads, -1)
        key, value = around.permute(2, 0, 3, 1, 4)
        query = self.query(expression).view(n * p, 1, self.heads, -1).transpose(1, 2)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.out(attended.transpose(1, 2).reshape(n, p, d))


class Tokens(NamedTuple):
    """Maps of a window: (h, w, d) tokens of its cells, and the (h, w, 2 d) keys and values of these tokens."""

    own: Tensor
    key_values: Tensor


@dataclass(frozen=True)
class View:
    """Resolution and margins at which a network reads a window of the grid.

    Parameters
    ----------
    pixels
        Side of a cell in pixels of the H&E.
    block
        Side in cells of the blocks that convolutional image tokens describe; windows begin and end between blocks.
    halo, reach
        Margins of a window in cells: for the pixels that convolutions read, and for the tokens that cells attend to.
    """

    pixels: int
    block: int
    halo: int
    reach: int

    @classmethod
    def of(cls, halvings: int, block: int, *, dilations: Sequence[int], reach: int) -> Self:
        """The view of a :class:`CrossAttentionNet` with these settings."""
        # Tokens are interpolated between the centres of blocks, which adds one block to the field of view.
        margin = (field_of_view(dilations) + (block > 1)) * block + reach
        return cls(2**halvings // block, block, -(-margin // block) * block, reach)


class CrossAttentionNet(nn.Module):
    """Expected counts per cell from image tokens and neighbouring spots.

    ``rate = interpolation * exp(log_library + log_ratio)``: cells attend to spots for the interpolation; expression
    attends to the image for two corrections, ``log_library`` of all genes together and ``log_ratio`` of each gene, through
    a low-rank head. The library size is predicted like one more gene, without a ``log_ratio``.

    A cell's token is a projection of its features plus convolutional tokens of the pixels around it. The latter describe
    blocks of cells and are interpolated linearly between the centres of blocks. For cells that are predicted, a perceptron
    of the features and the context vector is added.

    Parameters
    ----------
    features, context, genes
        Number of image features, length of the context vector, number of genes.
    halvings, block
        See :class:`~stsr.nn.networks.image_tokens.ImageTokens` and :class:`View`.
    dim, heads, width, rank
        Token width, attention heads and their width, rank of the correction.
    read
        Widths of the perceptron's hidden layers.
    lengths
        Shortest and longest initial attention length in µm.
    reach
        See :class:`ExpressionQueriesImage`.
    """

    clamp = 4.0  # largest absolute value of the logarithm by which rates are corrected

    def __init__(
        self,
        features: int,
        context: int,
        genes: int,
        halvings: int,
        block: int,
        *,
        dim: int,
        heads: int,
        width: int,
        rank: int,
        read: tuple[int, ...],
        stem: int,
        dilations: tuple[int, ...],
        lengths: tuple[float, float],
        reach: int,
    ) -> None:
        super().__init__()
        self.rank = rank
        self.pixels = ImageTokens(dim, halvings, stem=stem, dilations=dilations)
        self.project = nn.Linear(features, dim)
        self.norm = nn.LayerNorm(dim)
        self.read = perceptron(features + context, *read, dim)
        self.own_norm = nn.LayerNorm(dim)
        self.ask_spots = ImageQueriesExpression(dim, features, genes, heads=heads, width=width, lengths=lengths)
        self.embed = perceptron(genes, dim, dim)
        self.ask_image = ExpressionQueriesImage(dim, heads=IMAGE_HEADS, reach=reach)
        self.latent = nn.Sequential(nn.LayerNorm(3 * dim), *perceptron(3 * dim, 2 * dim, rank))
        self.correct = nn.Linear(dim + rank, genes)
        self.total = nn.Linear(dim, 1)
        self.depth = nn.Sequential(nn.LayerNorm(3 * dim), nn.Linear(3 * dim, dim), nn.GELU(), self.total)
        self.log_theta = nn.Parameter(torch.full((genes + 1,), LOG_THETA))
        self.view = View.of(halvings, block, dilations=dilations, reach=reach)
        for last in (self.correct, self.total):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def tokens(self, features: Tensor, pixels: Tensor, flip: tuple[bool, bool, bool] = (False, False, False)) -> Tokens:
        """Tokens of a window, from its (h, w, features) and the normalised pixels of the window and its margin.

        ``flip`` (transpose, rows, columns) gives the pixels to the convolutions in one of eight orientations and turns
        the resulting map back: augmentation that moves nothing else.
        """
        transpose, dims = flip[0], [axis for axis, on in zip((2, 3), flip[1:], strict=True) if on]
        turned = pixels[None].flip(dims)
        learned = self.pixels(turned.transpose(2, 3) if transpose else turned)
        learned = (learned.transpose(2, 3) if transpose else learned).flip(dims)
        learned = F.interpolate(learned, scale_factor=self.view.block, mode="bilinear")[0].permute(1, 2, 0)
        top, left = ((wide - own) // 2 for wide, own in zip(learned.shape, features.shape[:2], strict=False))
        learned = learned[top : top + len(features), left : left + features.shape[1]]
        own = self.norm(self.project(features) + learned)
        return Tokens(own, self.ask_image.key_value(own))

    def forward(
        self, tokens: Tokens, features: Tensor, patch: Patch, mean: Tensor, genes: slice = ALL
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rates (n, p, g) of a gene subset, library sizes (n, p, 1) and latents (n, p, rank) of patches of cells.

        Parameters
        ----------
        tokens
            From :meth:`tokens`; the cells lie at least ``reach`` from its border.
        features
            (n, p, features) of the cells.
        patch
            The cells and the spots around them.
        mean
            (g + 1,) mean density of the tissue.
        genes
            The gene subset.
        """
        inputs = torch.cat([features, patch.context], dim=-1)
        own = self.own_norm(patch.of(tokens.own) + self.read(inputs))
        attention = self.ask_spots.attention(own, patch.near.features, patch.distance)
        base = self.ask_spots.interpolate(attention, patch.near.density, mean, genes)
        expected = attention[..., :-1].mean(dim=2) @ self.embed(patch.near.profile)
        attended = self.ask_image(expected, tokens.key_values, patch.rowcol)
        state = torch.cat([own, expected, attended], dim=-1)
        latent = self.latent(state)
        log_library = self.depth(state)
        weight, bias = self.correct.weight[genes], self.correct.bias[genes]
        correction = log_library + F.linear(torch.cat([own, F.gelu(latent)], dim=-1), weight, bias)
        rates, library = (
            part * log.clamp(-self.clamp, self.clamp).exp_()
            for part, log in ((base[..., :-1], correction), (base[..., -1:], log_library))
        )
        return rates, library, latent
