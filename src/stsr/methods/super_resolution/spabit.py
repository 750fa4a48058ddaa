"""SpaBiT: graph attention over expression, and bidirectional cross-attention between graph and image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.methods.base import Arrays, Method, MethodInfo, Predictor, Training, register
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.depth import at_depth, depth_array, rescaled
from stsr.methods.shared.ensembles import EnsembleConfig, load_states, networks, train_ensemble
from stsr.methods.shared.neighbours import all_neighbours, with_nearest
from stsr.methods.shared.points import (
    Crops,
    PointPredictor,
    PointValues,
    gene_factors,
    in_chunks,
)
from stsr.methods.shared.requirements import require_spots, spots_on_tissue
from stsr.methods.shared.standardise import standardised
from stsr.methods.shared.targets import log2_counts, standard
from stsr.options import Whole
from stsr.section import Section

if TYPE_CHECKING:
    from torch import Tensor

    from stsr.nn.networks.spabit import SpaBitNet

GRAPH_RATE = 1e-4
"""Learning rate of the published training of the graph."""

MESSAGES = 2**25
"""Values of graph messages in memory at a time: 128 MB as float32."""

HIDDEN_PARTS = 5
"""At most one spot in so many is hidden at a step."""


@dataclass(frozen=True)
class SpaBitConfig(EnsembleConfig):
    """Options of SpaBiT.

    Parameters
    ----------
    faithful
        Exactly as published. The graph is trained first, to reconstruct the expression of spots from their own and that of
        their neighbours, although a cell only has the mean of its neighbours as input. Then the rest is trained, with full
        self-attention within a shuffled minibatch of spots; in prediction, within as many cells in the order of their ids.
        Input expression is log2(count + 1), not standardised; the head is initialised at random, so a rare gene may stay
        at zero; no spot is held out. (Ours in both modes: an image vector is the mean of the encoder's features under a
        spot, standardised; the heads of the first graph layer are concatenated, the second has one; cross-attention is
        residual, one layer fuses its two outputs, and feed-forward layers are twice as wide as a token; gradients are
        clipped at norm 1, the epoch with the lowest loss is kept, and expression is converted to counts as described in
        :class:`SpaBit`.)
    epochs, states, learning_rate, batch
        Largest number of epochs, ensemble members (their median is used), learning rate, and spots per step; by default
        these are hidden, and are at most a fifth of all. None: 40, 1, 5e-4 and 512, or the published 1000, 1, 1e-3 and 128.
    graph_epochs
        Epochs of the graph's own training, at a learning rate of 1e-4; only used when faithful.
    neighbours
        Spots that a point is connected to, and whose mean replaces its unknown expression.
    hidden, width
        Width of each of the 6 heads of the graph's first layer, and of all tokens. None: 64 and 128, or the published 650
        and 1024.
    patience
        Epochs without a lower held-out loss after which training ends; not used when faithful.
    held_out
        Share of the spots kept for early stopping; not used when faithful.
    """

    corrected: ClassVar = {"epochs": 40, "states": 1, "learning_rate": 5e-4, "batch": 512, "hidden": 64, "width": 128}
    published: ClassVar = corrected | {
        "epochs": 1000,
        "learning_rate": 1e-3,
        "batch": 128,
        "hidden": 650,
        "width": 1024,
        "graph_epochs": 3000,
    }

    graph_epochs: Annotated[int, Whole(1, 100_000)] = 3000
    neighbours: Annotated[int, Whole(1, 128)] = 6
    hidden: Annotated[int | None, Whole(1, 2048, optional=True)] = None
    width: Annotated[int | None, Whole(8, 2048, optional=True)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width and self.width % 8:
            raise ValueError(f"width={self.width} is not allowed; pass a multiple of 8, the number of attention heads.")


@register
class SpaBit(Method):
    """Graph attention over the expression of spots, and cross-attention between graph and image in both directions.

    A point is connected to the spots nearest to it, and their mean stands for its own unknown expression.

    Formula
    -------
    ::

        f(x) = network(expression of the spots around x, image vectors at x and at these spots)
        λ_g(b) = m_g (2^f_g(b) - 1) / a
        trained by:  Σ_s Σ_g (f_g(s) - log2(1 + y_sg))²,  with spot s not among its own inputs

    - λ_g(b): expected count of gene g in cell b
    - y_sg: count of gene g in spot s; a: cells in a disc
    - m_g: makes predicted counts of spots add up to the measured ones
    - f is at most its largest value over spots

    Architecture
    ------------
    - ``graph.first`` ← expression: graph attention, 6 heads, from the 6 spots around
    - ``graph.second`` ← ``graph.first``: graph attention, one head
    - ``graph.decode`` ← ``graph.second``: expression from the graph alone, for the loss only
    - ``fusion.embed_graph`` ← ``graph.second``: linear layer
    - ``fusion.embed_image`` ← image vectors: linear layer
    - ``fusion.image_asks`` ← ``fusion.embed_graph``, ``fusion.embed_image``: image attends to graph
    - ``fusion.graph_asks`` ← ``fusion.embed_graph``, ``fusion.embed_image``: graph attends to image
    - ``fusion.fuse`` ← ``fusion.image_asks``, ``fusion.graph_asks``: linear layer on both
    - ``fusion.blocks`` ← ``fusion.fuse``: four transformer blocks
    - ``fusion.head`` ← ``fusion.blocks``: perceptron of one hidden layer, log2(count + 1)

    Source
    ------
    The network follows the published code. By default it is trained end to end: each step hides some spots and
    predicts them like points between the others, so a spot's own counts are never among its inputs. Points are only
    connected to spots, so the prediction of a cell depends on that cell and the spots alone. ``faithful=True`` runs
    the published procedure; the options say what it is. The conversion to counts is ours in both modes.

    Use
    ---
    To compare with the published method.
    """

    info: ClassVar = MethodInfo(
        name="spabit",
        title="Graph attention over spots, and attention between expression and image both ways",
        paper="SpaBiT (https://github.com/wenwenmin/SpaBiT)",
        year=2025,
        references=("spabit2025",),
        needs=frozenset({"features", "spots"}),
        gives=frozenset({"history"}),
        faithful=True,
        predict_spots=2,
        quick={"epochs": 2, "graph_epochs": 2, "hidden": 8, "width": 32},
    )
    Config: ClassVar = SpaBitConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train the networks; ``arrays`` holds their weights and the scales of vectors and expression."""
        require_spots(section, self.info.name)
        used = section.subset(spots_on_tissue(section))
        crops, target = Crops.learn(used, used.aperture), log2_counts(used)
        self.arrays = {
            "depth": depth_array(section),
            "mean": crops.mean,
            "sd": crops.sd,
            "top": target.max(axis=0),
            **standard(target, faithful=self.config.faithful),
        }
        train = self._train_published if self.config.faithful else self._train
        weights, self.history = train(crops, target, seed, training)
        self.arrays |= weights | {"factor": np.ones_like(target[0])}
        self.arrays["factor"] = gene_factors(used, self._counts(crops, training.device)(used.spots, crops.spots))
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield "depth", Array((1,), low=LEAST)
        yield "mean", Array((facts.features,))
        yield "sd", Array((facts.features,), low=LEAST)
        for name, low in (("top", 0), ("factor", 0), ("centre", -np.inf), ("spread", LEAST)):
            yield name, Array((facts.genes,), low=low)
        yield from networks(self._network, self.config.states)

    def _inputs(self, expressed: NDArray[np.float32]) -> NDArray[np.float32]:
        """(spots, genes) standardised expression, the input of the network."""
        return standardised(expressed, self.arrays["centre"], self.arrays["spread"]).astype(np.float32)

    def _train(
        self, crops: Crops, target: NDArray[np.float32], seed: int, training: Training
    ) -> tuple[Arrays, dict[str, list[float]]]:
        """Weights and losses of networks that predict hidden spots from the others."""
        import torch

        from stsr.nn.networks.spabit import Hidden

        config, spots = self.config, crops.section.spots
        known = torch.as_tensor(self._inputs(target)), torch.as_tensor(crops.spots)
        scaled = target / self.arrays["spread"]

        def around(spot: Tensor) -> tuple[Tensor, Tensor]:
            hidden = spot.cpu().numpy()
            others = np.setdiff1d(np.arange(len(spots)), hidden)
            near = all_neighbours(cKDTree(spots[others]), spots[hidden], config.neighbours)
            order = np.concatenate([others, hidden])
            return torch.as_tensor(order, device=spot.device), torch.as_tensor(near, device=spot.device)

        recipe = config.recipe(batch=min(config.batch, len(spots) // HIDDEN_PARTS))

        def module() -> Hidden:
            net = self._network()
            net.fusion.head.start_at(torch.as_tensor(scaled.mean(axis=0)))
            return Hidden(net, *known, around, recipe=recipe)

        return train_ensemble(
            module,
            (np.arange(len(spots)), scaled),
            config,
            seed=seed,
            training=training,
        )

    def _train_published(
        self, crops: Crops, target: NDArray[np.float32], seed: int, training: Training
    ) -> tuple[Arrays, dict[str, list[float]]]:
        """Weights and losses of the graph and, trained on its node embeddings, of the rest."""
        import torch

        from stsr.nn.networks.spabit import Minibatch, Reconstruction

        config, number = self.config, len(target)
        near = torch.as_tensor(with_nearest(cKDTree(crops.section.spots), config.neighbours))
        inputs = torch.as_tensor(target)
        learn = partial(train_ensemble, seed=seed, training=training)
        whole = config.recipe(learning_rate=GRAPH_RATE, epochs=config.graph_epochs, batch=number, shuffle=False)
        graph, graph_losses = learn(
            lambda: Reconstruction(self._network().graph, inputs, near, recipe=whole),
            (np.arange(number), target),
            replace(config, states=1),
        )
        (trained,) = load_states([self._network().graph], graph, "cpu")
        with torch.inference_mode():
            nodes = trained(inputs, near).numpy()
        rest, losses = learn(
            lambda: Minibatch(self._network().fusion, recipe=config.recipe()),
            (nodes, crops.spots, target),
            config,
        )
        weights = {name.replace("/", "/fusion."): value for name, value in rest.items()}
        for state in range(config.states):
            weights |= {name.replace("net0/", f"net{state}/graph."): value for name, value in graph.items()}
        return weights, losses | {f"{curve} graph": values for curve, values in graph_losses.items()}

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Connect the cells of ``section`` to its spots, with counts scaled to the learned sequencing depth."""
        from stsr.nn.networks.spabit import GRAPH_HEADS

        section, back = at_depth(section, self.arrays["depth"])
        crops = Crops(section, section.aperture, self.arrays["mean"], self.arrays["sd"])
        messages = GRAPH_HEADS * self.config.hidden * (self.config.neighbours + 1)
        chunk = self.config.batch if self.config.faithful else 1
        points = PointPredictor(crops, self._counts(crops, device), chunk=chunk, batch=MESSAGES // messages)
        return rescaled(points, back)

    def _counts(self, crops: Crops, device: str) -> PointValues:
        """The predictor of the counts of a spot at points of a section."""
        import torch

        config, tree = self.config, cKDTree(crops.section.spots)
        nets = load_states((self._network() for _ in range(config.states)), self.arrays, device)
        chosen = nets[0].fusion.fuse.weight.device
        known, inputs = crops.spots, torch.as_tensor(self._inputs(log2_counts(crops.section)), device=chosen)
        top, factor, spread = self.arrays["top"], self.arrays["factor"], self.arrays["spread"]

        def predict(net: SpaBitNet, vectors: Tensor, near: Tensor) -> Tensor:
            """Output of a network for points; when faithful, with full self-attention within a chunk."""
            if not config.faithful:
                return net(inputs, vectors, near)[0][tree.n :]
            nodes = net.graph(inputs, near)[tree.n :]
            chunks = in_chunks(config.batch, nodes, vectors[tree.n :])
            return torch.cat([net.fusion(*part).flatten(0, 1) for part in chunks])

        def counts(xy: NDArray[np.float64], vectors: NDArray[np.float32]) -> NDArray[np.floating]:
            with torch.inference_mode():
                near = torch.as_tensor(all_neighbours(tree, xy, config.neighbours), device=chosen)
                every = torch.as_tensor(np.concatenate([known, vectors]), device=chosen)
                values = np.median([predict(net, every, near).cpu().numpy() for net in nets], axis=0)
            return (np.exp2(np.minimum(values * spread, top)) - 1) * factor

        return counts

    def _network(self) -> SpaBitNet:
        """An untrained network for the learned features and genes."""
        from stsr.nn.networks.spabit import SpaBitNet

        config = self.config
        return SpaBitNet(len(self.arrays["mean"]), len(self.arrays["top"]), hidden=config.hidden, width=config.width)
