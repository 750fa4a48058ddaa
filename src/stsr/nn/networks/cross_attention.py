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

from stsr.nn.layers.gene_subsets import ALL, some
from stsr.nn.layers.mlp import perceptron
from stsr.nn.networks.image_tokens import ImageTokens, field_of_view
from stsr.nn.networks.patch import Patch


class ImageAsksExpression(nn.Module):
    """Each cell looks for spots whose tissue looks like its own: interpolation by image similarity and distance.

    A head's score is the match of image tokens less the distance over a learned length. One more key, the section's
    mean expression, lets a head look away from all of them. Genes choose among heads by a softmax of their own.
    """

    def __init__(self, dim: int, features: int, genes: int, *, heads: int, width: int, lengths: tuple[float, float]):
        super().__init__()
        self.heads, self.width = heads, width
        self.query = nn.Linear(dim, heads * width)
        self.key = perceptron(features, dim, heads * width)
        self.log_length = nn.Parameter(torch.linspace(math.log(lengths[0]), math.log(lengths[1]), heads))
        self.away = nn.Parameter(torch.full((heads,), -4.0))
        self.choice = nn.Parameter(torch.zeros(heads, genes + 1))

    def attention(self, tokens: Tensor, features: Tensor, distance: Tensor) -> Tensor:
        """(n, p, h, k + 1) weights from (n, p, d) tokens, (n, k, features) and (n, p, k) distances in µm."""
        n, p, k = distance.shape
        query = self.query(tokens).view(n, p, self.heads, self.width)
        key = self.key(features).view(n, k, self.heads, self.width)
        match = torch.einsum("nphw,nkhw->nphk", query, key) / math.sqrt(self.width)
        score = match - distance[:, :, None, :] / self.log_length.exp()[:, None]
        away = self.away[:, None].expand(n, p, self.heads, 1)
        return torch.cat([score, away], dim=-1).softmax(dim=-1)

    def interpolate(self, attention: Tensor, density: Tensor, mean: Tensor, genes: slice = ALL) -> Tensor:
        """(n, p, g + 1) counts per cell of some genes: the heads' interpolations, mixed by each gene's choice.

        Heads and neighbours are contracted in one product, so no (n, p, h, g) array is ever made.
        """
        n, p, h, k1 = attention.shape
        values = some(torch.cat([density, mean.expand(n, 1, -1)], dim=1), genes)
        chosen = some(self.choice, genes).softmax(dim=0)[None, :, None, :] * values[:, None, :, :]
        return attention.reshape(n, p, h * k1) @ chosen.reshape(n, h * k1, -1)


class ExpressionAsksImage(nn.Module):
    """The expression expected at a cell asks the image around it which of its features matter here.

    Keys and values are the tokens of the 3 x 3 cells ``reach`` apart around each cell.
    """

    def __init__(self, dim: int, *, heads: int, reach: int) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.query, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)

    def forward(self, expression: Tensor, answers: Tensor, rowcol: Tensor) -> Tensor:
        """(n, p, d) context from (n, p, d) expression embeddings, an (h, w, 2 d) map and (n, p, 2) positions in it.

        The map holds the keys and values of tokens: ``key_value`` of them.
        """
        n, p, d = expression.shape
        steps = torch.arange(-1, 2, device=answers.device) * self.reach
        rows = rowcol[..., 0, None, None] + steps[:, None]
        cols = rowcol[..., 1, None, None] + steps[None, :]
        place = (rows * answers.shape[1] + cols).flatten(2)
        around = F.embedding(place, answers.flatten(0, 1)).view(n * p, 9, 2, self.heads, -1)
        key, value = around.permute(2, 0, 3, 1, 4)
        query = self.query(expression).view(n * p, 1, self.heads, -1).transpose(1, 2)
        answer = F.scaled_dot_product_attention(query, key, value)
        return self.out(answer.transpose(1, 2).reshape(n, p, d))


class Tokens(NamedTuple):
    """Maps of a window: (h, w, d) its cells' tokens, and (h, w, 2 d) what these answer when expression asks."""

    own: Tensor
    answers: Tensor


@dataclass(frozen=True)
class View:
    """How a network looks at a window of the grid.

    Parameters
    ----------
    pixels
        Pixels of the H&E to a cell's side.
    block
        Cells to the side of the blocks that learned image tokens stand for; windows begin and end between blocks.
    halo, reach
        Cells of context on every side of a window: those whose pixels are seen, and those whose tokens are asked.
    """

    pixels: int
    block: int
    halo: int
    reach: int

    @classmethod
    def of(cls, halvings: int, block: int, *, dilations: Sequence[int], reach: int) -> Self:
        """That of a :class:`CrossAttentionNet` of these settings."""
        # A token between two blocks' centres sees the fields of both.
        sight = (field_of_view(dilations) + (block > 1)) * block + reach
        return cls(2**halvings // block, block, -(-sight // block) * block, reach)


class CrossAttentionNet(nn.Module):
    """Expected counts per cell from image tokens and neighbouring spots.

    ``rate = interpolation * exp(depth + correction)``: the first direction interpolates; the second lets the image say
    how much there is of all genes together, and correct gene by gene through a low-rank head. The library size is
    predicted as one more gene, with no correction of its own.

    A cell's token is the sum of its features and of what convolutions make of the pixels around, at the scale of blocks
    of cells, interpolated linearly between their centres. The cells that are predicted have their features, and what the
    spots around measured beyond theirs, read by a perceptron as well.

    Parameters
    ----------
    features, context, genes
        How many.
    halvings, block
        See :class:`~stsr.nn.networks.image_tokens.ImageTokens` and :class:`View`.
    dim, heads, width, rank
        Token width, attention heads and their width, rank of the correction.
    read
        Widths of the perceptron's hidden layers.
    lengths
        Shortest and longest initial attention length in µm.
    reach
        See :class:`ExpressionAsksImage`.
    """

    clamp = 4.0

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
        self.ask_spots = ImageAsksExpression(dim, features, genes, heads=heads, width=width, lengths=lengths)
        self.embed = perceptron(genes, dim, dim)
        self.ask_image = ExpressionAsksImage(dim, heads=4, reach=reach)
        self.latent = nn.Sequential(nn.LayerNorm(3 * dim), *perceptron(3 * dim, 2 * dim, rank))
        self.correct = nn.Linear(dim + rank, genes)
        self.total = nn.Linear(dim, 1)
        self.depth = nn.Sequential(nn.LayerNorm(3 * dim), nn.Linear(3 * dim, dim), nn.GELU(), self.total)
        self.log_theta = nn.Parameter(torch.full((genes + 1,), 2.0))
        self.view = View.of(halvings, block, dilations=dilations, reach=reach)
        for last in (self.correct, self.total):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def tokens(self, features: Tensor, pixels: Tensor, flip: tuple[bool, bool, bool] = (False, False, False)) -> Tokens:
        """Tokens of a window, from its (h, w, features) and the normalised pixels of it and of as much around as is to be seen.

        ``flip`` (transpose, rows, columns) shows the pixels to the convolutions in one of the eight orientations and
        turns their answer back: augmentation without moving anything else.
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
        """Rates (n, p, g) of some genes, library sizes (n, p, 1) and latents (n, p, rank) of patches of cells.

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
            Those that are asked for.
        """
        told = torch.cat([features, patch.context], dim=-1)
        own = self.own_norm(patch.of(tokens.own) + self.read(told))
        attention = self.ask_spots.attention(own, patch.near.features, patch.distance)
        base = self.ask_spots.interpolate(attention, patch.near.density, mean, genes)
        expected = attention[..., :-1].mean(dim=2) @ self.embed(patch.near.profile)
        answer = self.ask_image(expected, tokens.answers, patch.rowcol)
        seen = torch.cat([own, expected, answer], dim=-1)
        latent = self.latent(seen)
        depth = self.depth(seen)
        weight, bias = self.correct.weight[genes], self.correct.bias[genes]
        correction = depth + F.linear(torch.cat([own, F.gelu(latent)], dim=-1), weight, bias)
        rates, library = (
            part * log.clamp(-self.clamp, self.clamp).exp_()
            for part, log in ((base[..., :-1], correction), (base[..., -1:], depth))
        )
        return rates, library, latent
