"""HisToSGE: image vectors with learned positional embeddings, a transformer block over points, a regression head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.geometry import Aperture, Square
from stsr.methods.base import Arrays, Method, MethodInfo, Predictor, Training, register
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.ensembles import EnsembleConfig, load_states, networks, train_ensemble
from stsr.methods.shared.neighbours import point_neighbours, with_nearest
from stsr.methods.shared.points import (
    Crops,
    PointPredictor,
    PointValues,
    gene_factors,
    in_chunks,
    library_size,
)
from stsr.methods.shared.requirements import require_spots, spots_on_tissue
from stsr.methods.shared.targets import log_normalised
from stsr.options import Whole
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.networks.histosge import HistoSgeNet

CROP = 50
"""Side of the published crop in pixels of the image, whatever their size."""

TOTAL = 1e4
"""Library size to which counts are normalised before the logarithm."""

GATHERED = 2**16
"""Neighbours gathered at a time, over all points: 128 MB of keys and values."""


@dataclass(frozen=True)
class HistoSgeConfig(EnsembleConfig):
    """Options of HisToSGE.

    Parameters
    ----------
    faithful
        Exactly as published. A crop is 50 pixels of the image wide, whatever their size; spots are divided into chunks of
        ``points`` in the order of the table, cells in the order of their ids, with full self-attention within a chunk; the
        width and the height of the section are divided into 512 positions each, most of them without a spot; the head is
        initialised at random, so a rare gene may stay at zero; no spot is held out. (Ours in both modes: an image vector
        is the mean of the encoder's features in the crop, standardised; the feed-forward layers are twice as wide as a
        vector; gradients are clipped at norm 1, the epoch with the lowest loss is kept, and expression is converted to
        counts as described in :class:`HistoSge`.)
    epochs, states, learning_rate, batch
        Largest number of epochs, ensemble members (their median is used), learning rate, and spots per step. None: 200, 1, 3e-4
        and 128, or the published 1000, 1, 1e-3 and a chunk.
    points
        Points of a chunk; by default, points that a point attends to, itself included. None: 19, which on a hexagonal
        lattice are all within two pitches, or the published 50.
    patience
        Epochs without a lower held-out loss after which training ends; not used when faithful.
    held_out
        Share of the spots kept for early stopping; not used when faithful.
    """

    corrected: ClassVar = {"epochs": 200, "states": 1, "learning_rate": 3e-4, "batch": 128, "points": 19}
    published: ClassVar = corrected | {"epochs": 1000, "learning_rate": 1e-3, "batch": 50, "points": 50}

    points: Annotated[int | None, Whole(2, 4096, optional=True)] = None
    patience: Annotated[int, Whole(1, 100_000)] = 10


@register
class HistoSge(Method):
    """A transformer over image vectors of points, with learned positional embeddings.

    A point attends to the images of the spots around it, never to their expression. It is trained on the spots as
    points, and applied to the centres of cells.

    Formula
    -------
    ::

        f(x) = network(image vector at x, position of x, image vectors and positions of the points around)
        λ_g(b) = m_g (exp(f_g(b)) - 1) L̂(b) / (10⁴ a)
        trained by:  Σ_s Σ_g (f_g(s) - log(1 + 10⁴ y_sg / L_s))²

    - λ_g(b): expected count of gene g in cell b
    - L̂(b): library size, interpolated from the spots around; L_s: that of a spot
    - a: cells in the disc of a spot
    - m_g: makes predicted counts of spots add up to the measured ones
    - f is at most its largest value over spots

    Architecture
    ------------
    - ``places`` ← position: learned embeddings along x and along y, interpolated
    - ``block`` ← image vectors, ``places``: transformer block over the points around
    - ``head`` ← ``block``: perceptron of one hidden layer, log-normalised expression

    Source
    ------
    Shi and others. By default a crop has the shape of a spot, a point attends to itself and the spots nearest to it,
    and positional embeddings are a pitch apart, so the prediction of a cell depends on that cell and the spots alone.
    ``faithful=True`` runs the published procedure; the options say what it is. The conversion to counts is ours in
    both modes.

    Use
    ---
    To compare with the published method. The expression of the spots around a cell is no input of it.
    """

    info: ClassVar = MethodInfo(
        name="histosge",
        title="Transformer over image vectors with learned positions",
        paper="Shi et al., arXiv 2407.20518",
        year=2024,
        references=("shi2024",),
        needs=frozenset({"features", "image", "spots"}),
        gives=frozenset({"history"}),
        faithful=True,
        predict_spots=2,
        quick={"epochs": 2},
    )
    Config: ClassVar = HistoSgeConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train the networks; ``arrays`` holds their weights and the scales of vectors, positions and expression."""
        require_spots(section, self.info.name)
        used = section.subset(spots_on_tissue(section))
        crops = Crops.learn(used, self._crop(used))
        target = log_normalised(used, TOTAL)
        self.arrays = {"mean": crops.mean, "sd": crops.sd, "top": target.max(axis=0), **self._slots(used)}
        weights, self.history = self._train(crops, target, seed, training)
        self.arrays |= weights | {"factor": np.ones_like(target[0])}
        self.arrays["factor"] = gene_factors(used, self._counts(crops, training.device)(used.spots, crops.spots))
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield "mean", Array((facts.features,))
        yield "sd", Array((facts.features,), low=LEAST)
        yield "top", Array((facts.genes,), low=0)
        yield "factor", Array((facts.genes,), low=0)
        yield "origin", Array((2,))
        yield "step", Array((2,), low=LEAST)
        yield from networks(self._network, self.config.states)

    def _crop(self, section: Section) -> Aperture:
        published = Square(CROP * section.raster.mpp)
        return published if self.config.faithful else section.aperture

    def _slots(self, section: Section) -> Arrays:
        """Origin and spacing of the positional embeddings, in µm along x and y; by default a pitch, so that all are trained."""
        from stsr.nn.networks.histosge import SLOTS

        rows, cols = section.grid.shape
        corners = section.grid.to_um([[0, 0], [cols, 0], [0, rows], [cols, rows]])
        low, high = corners.min(axis=0), corners.max(axis=0)
        pitch = np.full(2, section.pitch)
        return {"origin": low, "step": (high - low) / SLOTS if self.config.faithful else pitch}

    def _places(self, xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """(n, 2) positions, counted in embeddings, of points (n, 2) in µm; whole numbers when faithful."""
        place = (xy - self.arrays["origin"]) / self.arrays["step"]
        return (np.floor(place) if self.config.faithful else place).astype(np.float32)

    def _train(
        self, crops: Crops, target: NDArray[np.float32], seed: int, training: Training
    ) -> tuple[Arrays, dict[str, list[float]]]:
        """Weights and losses of networks trained on all spots of a section."""
        import torch

        from stsr.nn.networks.histosge import Chunks, Neighbourhoods

        config, spots = self.config, crops.section.spots
        vectors, place = crops.spots, self._places(spots)

        def module() -> Chunks | Neighbourhoods:
            net = self._network()
            if config.faithful:
                return Chunks(net, recipe=config.recipe(batch=config.points, shuffle=False))
            net.head.start_at(torch.as_tensor(target.mean(axis=0)))
            known = torch.as_tensor(vectors), torch.as_tensor(place)
            return Neighbourhoods(net, *known, recipe=config.recipe())

        near = with_nearest(cKDTree(spots), config.points - 1)
        return train_ensemble(
            module,
            (vectors, place, target) if config.faithful else (near, target),
            config,
            seed=seed,
            training=training,
        )

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Predict the cells of ``section``; by default they attend to the images of its spots."""
        crops = Crops(section, self._crop(section), self.arrays["mean"], self.arrays["sd"])
        points = self.config.points
        return PointPredictor(
            crops, self._counts(crops, device), chunk=points if self.config.faithful else 1, batch=GATHERED // points
        )

    def _counts(self, crops: Crops, device: str) -> PointValues:
        """The predictor of the counts of a spot at points of a section."""
        express, library = self._expression(crops, device), library_size(crops.section)
        top, factor = self.arrays["top"], self.arrays["factor"] / np.float32(TOTAL)

        def counts(xy: NDArray[np.float64], vectors: NDArray[np.float32]) -> NDArray[np.floating]:
            return np.expm1(np.minimum(express(xy, vectors), top)) * library(xy)[:, None] * factor

        return counts

    def _expression(self, crops: Crops, device: str) -> PointValues:
        """The predictor of log-normalised expression at points of a section."""
        import torch

        config, spots = self.config, crops.section.spots
        nets = load_states((self._network() for _ in range(config.states)), self.arrays, device)
        chosen = nets[0].places.x.weight.device
        known, places, tree = crops.spots, self._places(spots), cKDTree(spots)

        def express(xy: NDArray[np.float64], vectors: NDArray[np.float32]) -> NDArray[np.floating]:
            parts: Iterable[tuple[NDArray, ...]]
            if config.faithful:
                parts = in_chunks(config.points, vectors, self._places(xy))
            else:
                every, where = np.concatenate([known, vectors]), np.concatenate([places, self._places(xy)])
                parts = [(every[:, None], where[:, None], point_neighbours(tree, xy, config.points - 1))]
            return np.concatenate([run(*part) for part in parts])

        def run(*arrays: NDArray) -> NDArray[np.floating]:
            with torch.inference_mode():
                tensors = [torch.as_tensor(a, device=chosen) for a in arrays]
                return np.median([net(*tensors).flatten(0, 1).cpu().numpy() for net in nets], axis=0)

        return express

    def _network(self) -> HistoSgeNet:
        """An untrained network for the learned features and genes."""
        from stsr.nn.networks.histosge import HistoSgeNet

        return HistoSgeNet(len(self.arrays["mean"]), len(self.arrays["top"]), blank=not self.config.faithful)
