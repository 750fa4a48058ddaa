"""The network of Hist2ST: a ConvMixer, a transformer and graph layers over a section, and its three losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import SAGEConv

from stsr.nn.layers.attention import TransformerBlock
from stsr.nn.layers.conv import ConvMixer
from stsr.nn.layers.graph import nearest_edges, with_loops
from stsr.nn.layers.losses import zero_inflated_negative_binomial
from stsr.nn.layers.position import Places
from stsr.nn.training.recipe import Recipe
from stsr.nn.training.regression import Regression

STRIDE = 7
"""Side of the squares of pixels that the first convolution embeds."""

NEIGHBOURS, REACH = 4, 2.0
"""Neighbours of a spot on the graph, and the largest distance of one, in spots."""

GRAPH_LAYERS = 4

WHITE = 255.0
"""Of the corners of a rotated patch, as of glass."""


class ZeroInflated(NamedTuple):
    """Parameters of the counts of spots, each (n, genes): see :func:`~stsr.nn.layers.losses.zero_inflated_negative_binomial`."""

    mean: Tensor
    log_theta: Tensor
    logit: Tensor


class Hist2stNet(nn.Module):
    """Expression of the spots of one section from their image patches, positions and neighbours.

    A patch is embedded by convolutions and its map flattened. Learned embeddings of column and row are added, and every spot
    attends to all spots of the section. Four graph layers then average over the nearest spots, each the output of the one
    before. A recurrent network reads the outputs of all four, from the first to the last, and its mean over them is the
    description of a spot.

    With 785 genes the network has 75,789,833 parameters with patches of 112 px and 32 channels, as in the paper, and
    229,154,567 with 224 px and 16, as in the benchmark of 2025.

    Parameters
    ----------
    genes
        Number of genes.
    size, channels
        Side of a patch in pixels, and channels of its convolutions. A spot's token is ``(size // 7)² (channels // 8)`` wide.
    depth, heads, head
        Number of transformer blocks, attention heads and the width of each.
    slots
        Columns, and rows, of the array of spots that have an embedding; spots beyond share the last one, so pass 128 for
        Visium.
    dropout
        In the transformer.
    faithful
        Average over the neighbours of a spot alone, as the published code does: then a spot's own patch reaches its own
        prediction through the transformer and its neighbours only. Otherwise it is its own neighbour too.

    References
    ----------
    Zeng et al. 2022, "Spatial transcriptomics prediction from histology jointly through Transformer and graph neural
    networks", Briefings in Bioinformatics 23, bbac297; the graph layer is algorithm 1 of Hamilton et
    al. 2017, "Inductive representation learning on large graphs", without the part of the spot itself.

    Examples
    --------
    >>> net = Hist2stNet(5, size=14, channels=8, depth=1, heads=2, head=4)
    >>> net(torch.zeros(7, 3, 14, 14), torch.rand(7, 2)).shape
    torch.Size([7, 5])
    """

    def __init__(
        self,
        genes: int,
        *,
        size: int = 224,
        channels: int = 16,
        depth: int = 8,
        heads: int = 16,
        head: int = 64,
        slots: int = 64,
        dropout: float = 0.2,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.faithful = faithful
        width = (size // STRIDE) ** 2 * (channels // 8)
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, STRIDE, STRIDE),
            ConvMixer(channels, 5),
            ConvMixer(channels, 5),
            nn.Conv2d(channels, channels // 8, 1),
            nn.Flatten(),
        )
        self.places = Places(width, slots)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, heads, head, width, bias=False, dropout=dropout) for _ in range(depth))
        )
        self.graph = nn.ModuleList(SAGEConv(width, width, root_weight=False, bias=False) for _ in range(GRAPH_LAYERS))
        self.over_layers = nn.LSTM(width, width, num_layers=2)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, genes))
        self.mean, self.theta, self.zeros = (nn.Linear(width, genes) for _ in range(3))
        self.trust = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def latent(self, pixels: Tensor, place: Tensor, edges: Tensor | None = None) -> Tensor:
        """(n, width) descriptions of the n spots of a section; the arguments are those of :meth:`forward`."""
        tokens = self.stem(pixels.float() / 255) + self.places(place)
        x = self.blocks(tokens[None])[0]
        if edges is None:
            edges = nearest_edges(place, NEIGHBOURS, within=REACH)
        if not self.faithful:
            edges = with_loops(edges, len(x))
        outputs = []
        for layer in self.graph:
            x = F.normalize(F.relu(layer(x, edges)), dim=-1)
            outputs.append(x)
        read, _ = self.over_layers(torch.stack(outputs))
        return read.mean(dim=0)

    def forward(self, pixels: Tensor, place: Tensor, edges: Tensor | None = None) -> Tensor:
        """(n, genes) expression of the n spots of a section.

        Parameters
        ----------
        pixels
            (n, 3, size, size) red, green and blue, 0 to 255.
        place
            (n, 2) column and row of each spot on the array, counted in spots from 0; between spots they are no whole numbers.
        edges
            (2, edges) from neighbours to spots, without loops; the 4 nearest up to 2 spots away when None.
        """
        return self.head(self.latent(pixels, place, edges))

    def counts(self, latent: Tensor) -> ZeroInflated:
        """Parameters of the counts of a spot with the median library, from (n, width) descriptions.

        Bounded as in the deep count autoencoder (Eraslan et al. 2019), whose output layers these are.
        """
        return ZeroInflated(
            self.mean(latent).exp().clamp(1e-5, 1e6),
            F.softplus(self.theta(latent)).clamp(1e-4, 1e4).log(),
            self.zeros(latent),
        )


class Hist2stSections(Regression):
    """Train :class:`Hist2stNet` on sections: ``squared error + zinb · count loss + distil · self-distillation``.

    Self-distillation compares the prediction with a weighted mean of those from augmented copies of the section; the network
    learns the weights. Of held-out sections the loss is the squared error alone.

    Parameters
    ----------
    net
        The network.
    recipe
        How it is trained; a batch is one section.
    zinb, distil
        Weights of the two further losses.
    copies
        Augmented copies a step; 0 leaves self-distillation out.

    References
    ----------
    Zeng et al. 2022, as for :class:`Hist2stNet`.
    """

    net: Hist2stNet

    def __init__(
        self, net: Hist2stNet, *, recipe: Recipe, zinb: float = 0.25, distil: float = 0.5, copies: int = 5
    ) -> None:
        super().__init__(net, recipe=recipe)
        self.zinb, self.distil, self.copies = zinb, distil, copies

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is (n, 3, size, size) pixels, (n, 2) places, (n, genes) counts and (n, genes) targets of one section."""
        pixels, place, counts, target = batch
        edges = nearest_edges(place, NEIGHBOURS, within=REACH)
        latent = self.net.latent(pixels, place, edges)
        predicted = self.net.head(latent)
        loss = self.error(predicted, target)
        if not self.training:
            return loss
        loss = loss + self.zinb * self.count_loss(latent, counts)
        if self.copies:
            loss = loss + self.distil * F.mse_loss(predicted, self.teacher(pixels, place, edges))
        return loss

    def count_loss(self, latent: Tensor, counts: Tensor) -> Tensor:
        """Mean negative log-likelihood of counts, whose mean is proportional to the library of a spot."""
        library = counts.sum(dim=1, keepdim=True)
        size = library / library.median().clamp(min=1)
        with torch.autocast(latent.device.type, enabled=False):
            mean, log_theta, logit = self.net.counts(latent.float())
            return zero_inflated_negative_binomial(counts, size * mean, log_theta, logit).mean()

    def teacher(self, pixels: Tensor, place: Tensor, edges: Tensor) -> Tensor:
        """(n, genes) weighted mean over augmented copies, with weights that are a softmax over the copies of each spot."""
        latents = torch.stack([self.net.latent(augmented(pixels), place, edges) for _ in range(self.copies)])
        weight = self.net.trust(latents).softmax(dim=0)
        return (weight * self.net.head(latents)).sum(dim=0)


def augmented(pixels: Tensor) -> Tensor:
    """Patches in grey with probability 0.1, turned by up to 90 degrees and mirrored with probability 0.2, all alike.

    Random numbers come from torch's global generator.
    """
    from torchvision.transforms import v2  # torchvision that does not fit torch is reported where it is used

    return v2.Compose(
        [v2.RandomGrayscale(0.1), v2.RandomRotation(90, fill=WHITE), v2.RandomHorizontalFlip(0.2)],
    )(pixels)
