"""The network of EGNv2 (EGGN): graphs of the spots of a section and of their exemplars, bridged by gates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import SAGEConv

from stsr.nn.layers.exemplars import ExemplarBridge
from stsr.nn.layers.graph import nearest_edges

NEIGHBOURS, REACH = 5, 2**0.5
"""Neighbours of a spot on the array, and the largest distance of one, in spots: those beside it, and across corners."""

SIMILAR = 3
"""Neighbours of an exemplar: the others with the nearest features."""


class Layer(nn.Module):
    """One graph layer for windows, one for exemplars, and the bridge from exemplars to windows."""

    def __init__(self, width: int, expression: int) -> None:
        super().__init__()
        self.windows, self.exemplars = SAGEConv(width, width), SAGEConv(width, width)
        self.bridge = ExemplarBridge(width, width, expression, width)

    def forward(
        self, windows: Tensor, exemplars: Tensor, beside: Tensor, similar: Tensor, index: Tensor, told: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Windows (n, width) and exemplars (m, width) to the same.

        ``beside`` and ``similar`` are their edges, ``index`` (n, k) the exemplars of each window, and ``told`` (m, expression)
        what bridges get beside an exemplar's features.
        """
        windows, exemplars = F.relu(self.windows(windows, beside)), F.relu(self.exemplars(exemplars, similar))
        return self.bridge(windows[:, None], exemplars[index], told[index])[:, 0], exemplars


class EgnV2Net(nn.Module):
    """Expression of the spots of one section from features of a frozen network, their neighbours, and exemplars.

    Spots (windows) and exemplars are the nodes of one graph: windows are connected to those beside them, exemplars to the
    most similar ones, and each window to its own exemplars, from which it takes features and expression through gates. An
    attention over its exemplars makes the prediction.

    With 785 genes it has the published number of parameters, 12,099,346, if ``faithful``, and 559,104 more otherwise.

    Parameters
    ----------
    genes
        Number of genes.
    features
        Width of the features; published: 512, of a ResNet18.
    width, depth
        Width of a node, and number of graph layers.
    faithful
        As the published code does, give the bridges the last entries of an exemplar's embedding where expression is meant:
        as many as there are genes, or all. Otherwise they get its expression.

    References
    ----------
    Yang et al. 2024, "Spatial transcriptomics analysis of gene expression prediction using exemplar guided graph neural
    network", Pattern Recognition 145, bioRxiv 2023.03.30.534914. Graph layer: Hamilton et al. 2017. The description that this
    network was built from leaves the layers of bridge and attention open: ours have the published number of parameters, and
    need not be the same.

    Examples
    --------
    >>> net = EgnV2Net(5, features=8, width=8, depth=2)
    >>> spots, exemplars = torch.rand(7, 8), torch.rand(20, 8)
    >>> net(spots, torch.rand(7, 2), torch.randint(20, (7, 6)), exemplars, torch.rand(20, 5)).shape
    torch.Size([7, 5])
    """

    def __init__(
        self, genes: int, *, features: int = 512, width: int = 512, depth: int = 4, faithful: bool = False
    ) -> None:
        super().__init__()
        self.genes, self.faithful = genes, faithful
        self.embed_window, self.embed_exemplar = nn.Linear(features, width), nn.Linear(features + genes, width)
        self.layers = nn.ModuleList(Layer(width, min(genes, width) if faithful else genes) for _ in range(depth))
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        self.head = nn.Linear(width, genes)

    def forward(
        self, features: Tensor, place: Tensor, index: Tensor, exemplar_features: Tensor, exemplar_expression: Tensor
    ) -> Tensor:
        """(n, genes) expression of the n spots of a section.

        Parameters
        ----------
        features, place
            (n, features), and (n, 2) column and row of each spot on the array, counted in spots.
        index
            (n, k) positions of the exemplars of each spot among those below.
        exemplar_features, exemplar_expression
            (spots, features) and (spots, genes) of all spots that may be exemplars.
        """
        used, index = index.unique(return_inverse=True)
        features_used, expression = exemplar_features[used], exemplar_expression[used]
        beside = nearest_edges(place, NEIGHBOURS, within=REACH)
        similar = nearest_edges(features_used, SIMILAR)
        windows = F.relu(self.embed_window(features))
        exemplars = F.relu(self.embed_exemplar(torch.cat([features_used, expression], dim=1)))
        told = exemplars[:, -self.genes :] if self.faithful else expression
        for layer in self.layers:
            windows, exemplars = layer(windows, exemplars, beside, similar, index, told)
        own = exemplars[index]
        attention = self.score(windows[:, None] + own).softmax(dim=1)
        return self.head(windows + (attention * own).sum(dim=1))
