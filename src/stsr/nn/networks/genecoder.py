"""The linear model of GeneCodeR: pixels and genes as two sets of loadings of the same codes of spots."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

TINY = 1e-6
"""Singular values below this share of the largest are taken as 0."""


class Loadings(NamedTuple):
    """What :func:`shared_loadings` finds: ``pixels`` (codes, pixels), ``genes`` (codes, genes) and their means."""

    pixels: Tensor
    genes: Tensor
    pixel_mean: Tensor
    gene_mean: Tensor


class GeneCoderNet(nn.Module):
    """Expression of a patch from its pixels: one linear map, through the codes that explain its pixels best.

    With ``x`` the flattened pixels less their mean, ``A`` the loadings of pixels and ``B`` those of genes, the codes are the
    ``z`` of least squares in ``x ≈ z A``, and the prediction is ``z B`` and the mean expression. The loadings are not trained
    by gradients but found by :func:`shared_loadings`; :meth:`learn` does both.

    Parameters
    ----------
    genes
        Number of genes.
    size
        Side of a patch in pixels: 30 by the authors; 224 in the benchmark of 2025, whose number of parameters, 75,264,000, is
        that of the loadings of pixels.
    codes
        Width of a code.

    References
    ----------
    GeneCodeR, as described in equation 1 of the benchmark of Wang et al. 2025, "Benchmarking the translational potential of
    spatial gene expression prediction from histology", Nature Communications. There, samples and features each have an
    encoding and a matrix between them; in a prediction that matrix cancels.

    Examples
    --------
    >>> net = GeneCoderNet(5, size=4, codes=2)
    >>> net.learn(torch.rand(10, 3, 4, 4), torch.rand(10, 5))
    >>> net(torch.rand(7, 3, 4, 4)).shape
    torch.Size([7, 5])
    """

    pixel_mean: Tensor
    gene_mean: Tensor

    def __init__(self, genes: int, *, size: int = 224, codes: int = 500) -> None:
        super().__init__()
        pixels = 3 * size**2
        self.pixel_loadings = nn.Parameter(torch.empty(codes, pixels))
        self.gene_loadings = nn.Parameter(torch.empty(codes, genes))
        self.register_buffer("pixel_mean", torch.zeros(pixels))
        self.register_buffer("gene_mean", torch.zeros(genes))
        nn.init.normal_(self.pixel_loadings)
        nn.init.normal_(self.gene_loadings)

    @torch.no_grad()
    def learn(self, pixels: Tensor, expression: Tensor, *, weight: float = 1.0) -> None:
        """Take over the loadings that :func:`shared_loadings` finds.

        Parameters
        ----------
        pixels, expression
            (n, 3, size, size) and (n, genes) of n spots, at least as many as codes and one more.
        weight
            See :func:`shared_loadings`.

        Raises
        ------
        ValueError
            When there are fewer spots.
        """
        found = shared_loadings(pixels.flatten(1), expression, len(self.pixel_loadings), weight=weight)
        self.pixel_loadings.copy_(found.pixels)
        self.gene_loadings.copy_(found.genes)
        self.pixel_mean.copy_(found.pixel_mean)
        self.gene_mean.copy_(found.gene_mean)

    def codes(self, pixels: Tensor) -> Tensor:
        """(n, codes) of patches (n, 3, size, size): those of least squares, the smallest where several are."""
        centred = pixels.flatten(1).to(self.pixel_mean.dtype) - self.pixel_mean
        # By the (codes, codes) products of loadings: a pseudo-inverse of the loadings themselves takes as much memory again.
        gram = self.pixel_loadings @ self.pixel_loadings.T
        return centred @ self.pixel_loadings.T @ torch.linalg.pinv(gram, rtol=TINY, hermitian=True)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, genes) expression of patches (n, 3, size, size)."""
        return self.codes(pixels) @ self.gene_loadings + self.gene_mean


def shared_loadings(pixels: Tensor, expression: Tensor, codes: int, *, weight: float = 1.0) -> Loadings:
    r"""The best approximation of two centred tables by loadings of shared codes.

    It is the minimum of :math:`\lVert X - Z A \rVert^2 + w^2 \lVert Y - Z B \rVert^2` over codes :math:`Z`, loadings of pixels
    :math:`A` and of genes :math:`B`, which the published coordinate descent approaches: the truncated singular value
    decomposition of :math:`[X, w Y]` (Eckart & Young 1936). It is found from the (n, n) products of spots, as there are fewer
    spots than pixels.

    Parameters
    ----------
    pixels, expression
        (n, p) and (n, g), one row for each spot.
    codes
        Width of a code, at most n - 1.
    weight
        :math:`w`, how much an error in expression counts relative to one in pixels. The sums are over all pixels and genes, so
        with 1 the pixels, which are many and up to 255, decide the codes.

    Raises
    ------
    ValueError
        When there are too few spots.

    Examples
    --------
    >>> shared_loadings(torch.rand(10, 20), torch.rand(10, 5), codes=3).genes.shape
    torch.Size([3, 5])
    """
    if codes >= len(pixels):
        raise ValueError(
            f"codes={codes} is not allowed with {len(pixels)} spots; pass fewer codes than spots, or fit on more spots."
        )
    pixels, expression = pixels.float(), expression.float()
    pixel_mean, gene_mean = pixels.mean(dim=0), expression.mean(dim=0)
    x, y = pixels - pixel_mean, expression - gene_mean
    products = (x @ x.T).double() + weight**2 * (y @ y.T).double()
    _, vectors = torch.linalg.eigh(products)
    basis = vectors[:, -codes:].flip(1).T.to(x.dtype)
    return Loadings(basis @ x, basis @ y, pixel_mean, gene_mean)
