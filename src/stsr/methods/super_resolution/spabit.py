"""SpaBiT: what a graph says of the expression around and what the image shows attend to each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.methods.base import Arrays, Method, MethodInfo, Predictor, Training, register
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.depth import at_depth, kept_depth, times
from stsr.methods.shared.ensembles import StatesConfig, load_states, networks, train_states
from stsr.methods.shared.points import (
    Crops,
    PointPredictor,
    PointValues,
    gene_factors,
    in_chunks,
    seen_by_all,
    seen_by_spots,
)
from stsr.methods.shared.requirements import require_spots, spots_on_tissue
from stsr.methods.shared.targets import standard
from stsr.options import Whole
from stsr.section import Section

if TYPE_CHECKING:
    from torch import Tensor

    from stsr.nn.networks.spabit import SpaBitNet

GRAPH_RATE = 1e-4
"""Learning rate of the published graph."""

MESSAGES = 2**25
"""Values that the graph sends to points at a time: 128 MB as float32."""


@dataclass(frozen=True)
class SpaBitConfig(StatesConfig):
    """Options of SpaBiT.

    Parameters
    ----------
    faithful
        Exactly as published. The graph is trained first, to tell the expression of spots from their own and that of their
        neighbours, though a cell has only the mean of its neighbours to start from; then the rest, where the spots of a
        shuffled minibatch see one another, and when predicting as many cells in the order of their ids. Expression is
        shown as log2(count + 1), not standardised; the head begins from random numbers, so that a rare gene may stay at
        zero; no spot is held out. (Ours in both modes: an image vector is the mean of the encoder's features under a
        spot, standardised; the heads of the graph's first layer are set side by side, the second has one; the attention
        both ways is residual, one layer fuses what comes out of it, and a transformer block's layers are twice as wide
        as a token; gradients are clipped at norm 1, and the epoch of the lowest loss is kept; and how expression is
        turned into counts.)
    epochs, states, learning_rate, batch
        Passes over the spots at most, networks whose median is taken, rate of Adam, and spots a step; by default these
        are hidden, and a fifth of all at most. None: 40, 1, 5e-4 and 512, or the published 1000, 1, 1e-3 and 128.
    graph_epochs
        Passes of the graph's own training, at a rate of 1e-4; only used when faithful.
    neighbours
        Spots that a point is joined to, and whose mean stands for its expression.
    hidden, width
        Width of each of the 6 heads of the graph's first layer, and of all tokens. None: 64 and 128, or the published 650
        and 1024.
    patience
        Epochs without a better held-out loss after which training ends; not used when faithful.
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
            raise ValueError(
                f"width={self.width} is not allowed; pass a multiple of 8, the heads that attend both ways."
            )


@register
class SpaBit(Method):
    """log2(count + 1) of a point from the spots it is joined to in a graph, and from the image there and around.

    A point is joined to the 6 spots nearest to it, and the mean of these stands for its own expression in the graph.
    By default the whole network (:class:`stsr.nn.networks.spabit.SpaBitNet`) is trained at once, by hiding spots at each step and
    predicting them as any point between the others: a spot's own counts are never among its inputs. Points are joined to
    spots alone, so a cell's prediction depends on that cell and the spots. ``faithful=True`` is the published procedure.

    The logarithm is undone (never above what a spot reached) and divided by the cells of a spot; each gene is then
    multiplied by the factor that makes the spots add up to what was measured.
    """

    info: ClassVar = MethodInfo(
        name="spabit",
        title="Graph attention over spots, and attention between expression and image both ways",
        paper="SpaBiT (https://github.com/wenwenmin/SpaBiT)",
        year=2025,
        needs=frozenset({"features", "spots"}),
        gives=frozenset({"history"}),
        faithful=True,
    )
    Config: ClassVar = SpaBitConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train the networks; ``arrays`` holds their weights and what scales vectors and expression."""
        require_spots(section, self.info.name)
        used = section.subset(spots_on_tissue(section))
        crops, target = Crops.learn(used, used.aperture), expression(used)
        self.arrays = {
            "depth": kept_depth(section),
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

    def _shown(self, expressed: NDArray[np.float32]) -> NDArray[np.float32]:
        """(spots, genes) expression as the network sees it."""
        return ((expressed - self.arrays["centre"]) / self.arrays["spread"]).astype(np.float32)

    def _train(
        self, crops: Crops, target: NDArray[np.float32], seed: int, training: Training
    ) -> tuple[Arrays, dict[str, list[float]]]:
        """Weights and losses of networks that predict hidden spots from the others."""
        import torch

        from stsr.nn.networks.spabit import Hidden

        config, spots = self.config, crops.section.spots
        known = torch.as_tensor(self._shown(target)), torch.as_tensor(crops.spots)
        scaled = target / self.arrays["spread"]

        def around(spot: Tensor) -> tuple[Tensor, Tensor]:
            hidden = spot.cpu().numpy()
            others = np.setdiff1d(np.arange(len(spots)), hidden)
            near = seen_by_all(cKDTree(spots[others]), spots[hidden], config.neighbours)
            order = np.concatenate([others, hidden])
            return torch.as_tensor(order, device=spot.device), torch.as_tensor(near, device=spot.device)

        def module() -> Hidden:
            net = self._network()
            net.fusion.head.start_at(torch.as_tensor(scaled.mean(axis=0)))
            return Hidden(net, *known, around, learning_rate=config.learning_rate)

        return train_states(
            module,
            (np.arange(len(spots)), scaled),
            replace(config, batch=min(config.batch, len(spots) // 5)),
            shuffle=True,
            seed=seed,
            training=training,
        )

    def _train_published(
        self, crops: Crops, target: NDArray[np.float32], seed: int, training: Training
    ) -> tuple[Arrays, dict[str, list[float]]]:
        """Weights and losses of the graph and, given what it says of the spots, of the rest."""
        import torch

        from stsr.nn.networks.spabit import Minibatch, Reconstruction

        config, number = self.config, len(target)
        near = torch.as_tensor(seen_by_spots(cKDTree(crops.section.spots), config.neighbours))
        seen = torch.as_tensor(target)
        learn = partial(train_states, seed=seed, training=training)
        graph, graph_losses = learn(
            lambda: Reconstruction(self._network().graph, seen, near, learning_rate=GRAPH_RATE),
            (np.arange(number), target),
            replace(config, epochs=config.graph_epochs, states=1, batch=number),
            shuffle=False,
        )
        (trained,) = load_states([self._network().graph], graph, "cpu")
        with torch.inference_mode():
            said = trained(seen, near).numpy()
        rest, losses = learn(
            lambda: Minibatch(self._network().fusion, learning_rate=config.learning_rate),
            (said, crops.spots, target),
            config,
            shuffle=True,
        )
        weights = {name.replace("/", "/fusion."): value for name, value in rest.items()}
        for state in range(config.states):
            weights |= {name.replace("net0/", f"net{state}/graph."): value for name, value in graph.items()}
        return weights, losses | {f"{curve} graph": values for curve, values in graph_losses.items()}

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Join the cells of ``section`` to its spots, whose counts are shown at the depth learned from."""
        from stsr.nn.networks.spabit import GRAPH_HEADS

        section, back = at_depth(section, self.arrays["depth"])
        crops = Crops(section, section.aperture, self.arrays["mean"], self.arrays["sd"])
        messages = GRAPH_HEADS * self.config.hidden * (self.config.neighbours + 1)
        chunk = self.config.batch if self.config.faithful else 1
        return times(PointPredictor(crops, self._counts(crops, device), chunk=chunk, batch=MESSAGES // messages), back)

    def _counts(self, crops: Crops, device: str) -> PointValues:
        """Counts of a spot at points of a section."""
        import torch

        config, tree = self.config, cKDTree(crops.section.spots)
        nets = load_states((self._network() for _ in range(config.states)), self.arrays, device)
        chosen = nets[0].fusion.fuse.weight.device
        known, shown = crops.spots, torch.as_tensor(self._shown(expression(crops.section)), device=chosen)
        top, factor, spread = self.arrays["top"], self.arrays["factor"], self.arrays["spread"]

        def told(net: SpaBitNet, vectors: Tensor, near: Tensor) -> Tensor:
            """What a network tells of points; when faithful, the points of a chunk see one another."""
            if not config.faithful:
                return net(shown, vectors, near)[0][tree.n :]
            said = net.graph(shown, near)[tree.n :]
            chunks = in_chunks(config.batch, said, vectors[tree.n :])
            return torch.cat([net.fusion(*part).flatten(0, 1) for part in chunks])

        def counts(xy: NDArray[np.float64], vectors: NDArray[np.float32]) -> NDArray[np.floating]:
            with torch.inference_mode():
                near = torch.as_tensor(seen_by_all(tree, xy, config.neighbours), device=chosen)
                every = torch.as_tensor(np.concatenate([known, vectors]), device=chosen)
                values = np.median([told(net, every, near).cpu().numpy() for net in nets], axis=0)
            return (np.exp2(np.minimum(values * spread, top)) - 1) * factor

        return counts

    def _network(self) -> SpaBitNet:
        """A network for the features and genes learned from, untrained."""
        from stsr.nn.networks.spabit import SpaBitNet

        config = self.config
        return SpaBitNet(len(self.arrays["mean"]), len(self.arrays["top"]), hidden=config.hidden, width=config.width)


def expression(section: Section) -> NDArray[np.float32]:
    """(spots, genes) log2(count + 1)."""
    return np.log2(section.counts.toarray() + 1).astype(np.float32)
