"""iStar: expression of a cell from its own image tokens, trained on sums over spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Method, MethodInfo, Prediction, Predictor, Training, register
from stsr.methods.expected import Expected, Facts
from stsr.methods.shared.cell_tiles import CellTokens, SpotTile, cell_colours, disc_weights, tile_cells
from stsr.methods.shared.ensembles import EnsembleConfig, load_states, networks, train_ensemble
from stsr.methods.shared.requirements import require_spots, whole_spots
from stsr.methods.shared.spot_cells import under_spots
from stsr.methods.shared.targets import MinMax
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.networks.istar import IstarNet

BATCH = 2**13
"""Cells predicted at a time: hidden layers of so many fit into the processor's cache."""

HALF = 0.5
"""Share of a disc that must be on tissue for its spot to be used in faithful training."""


@dataclass(frozen=True)
class IstarConfig(EnsembleConfig):
    """Options of iStar.

    By default three things differ from the published procedure, besides the length of training. Features and colours are
    standardised over cells, since encoders differ in scale and features of large variance dominate an untrained network.
    A spot is the sum of its cells, weighted by the area under the spot and on tissue, so that cells at the border are not
    underestimated. Counts are scaled from zero, so that a cell can have no counts of a gene that all spots have.

    Parameters
    ----------
    faithful
        Exactly as published. Features are taken as the encoder gives them and colours from 0 to 1; a disc is the mean of
        the cells on tissue whose centres it covers (of 37 cells of 8 µm); counts are scaled from their minimum; no spot is
        held out. (Ours in both modes: any encoder's features can be used, gradients are clipped at norm 1, and the epoch
        with the lowest loss is kept.)
    epochs, states, learning_rate, batch
        Largest number of epochs, ensemble members (their median is used), learning rate, and spots per step. None: 40, 3, 1e-3
        and 32, or the published 400, 5, 1e-4 and 128.
    patience
        Epochs without a lower held-out loss after which training ends; not used when faithful.
    held_out
        Share of the spots kept for early stopping; not used when faithful.
    """

    corrected: ClassVar = {"epochs": 40, "states": 3, "learning_rate": 1e-3, "batch": 32}
    published: ClassVar = {"epochs": 400, "states": 5, "learning_rate": 1e-4, "batch": 128}


@register
class Istar(Method):
    """A network that predicts each cell from its own image tokens, trained on sums over the cells of spots.

    Its input is one cell: the context of a cell in the image is that of the encoder's receptive field. No spot is an
    input, so it also predicts sections without spots.

    Formula
    -------
    ::

        λ_g(b) = (low_g + (high_g - low_g) f_g(tokens of b)) / a
        trained by:  Σ_s Σ_g (Σ_b w_sb f_g(b) - scaled y_sg)²

    - λ_g(b): expected count of gene g in cell b
    - f: the network; the prediction is the median of an ensemble
    - low, high: range of the counts of a gene over spots; low is 0 by default
    - w_sb: weight of cell b in the disc of spot s; a: cells in a disc

    Architecture
    ------------
    - ``hidden`` ← image tokens: four hidden layers of 256, leaky ReLU; features and colour of the cell
    - ``out`` ← ``hidden``: linear layer and ELU, scaled expression above 0

    Source
    ------
    Network and loss are those of Zhang and others; any encoder can take the place of their hierarchical one. By
    default features are standardised over cells, a spot is the sum of its cells weighted by area, and counts are
    scaled from zero. ``faithful=True`` runs the published procedure; the options say what it is.

    Use
    ---
    To compare with the published method, and for sections that have an image but no spots.
    """

    info: ClassVar = MethodInfo(
        name="istar",
        title="Cell by cell from image tokens, trained on discs",
        paper="Zhang et al., Nature Biotechnology 42",
        year=2024,
        references=("zhang2024",),
        needs=frozenset({"features", "image"}),
        gives=frozenset({"latent", "history"}),
        faithful=True,
        quick={"epochs": 2},
    )
    Config: ClassVar = IstarConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train the networks; ``arrays`` holds their weights and the scales of tokens and counts."""
        from stsr.nn.networks.istar import IstarDiscs

        require_spots(section, self.info.name)
        config = self.config
        tokens = CellTokens.raw(section) if config.faithful else CellTokens.learn(section)
        scale = MinMax.learn(section, faithful=config.faithful)
        self.arrays = {"mean": tokens.mean, "sd": tokens.sd, **scale.arrays}
        spots, cells, weights = discs(section, faithful=config.faithful)
        trained, self.history = train_ensemble(
            lambda: IstarDiscs(self._network(), recipe=config.recipe()),
            (tokens.gather(cells), weights, scale.scaled(section)[spots]),
            config,
            seed=seed,
            training=training,
        )
        self.arrays |= trained
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield from CellTokens.expected(facts)
        yield from MinMax.expected(facts)
        yield from networks(self._network, self.config.states)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Apply the networks to the cells of ``section``; its spots are not used."""
        if self.config.faithful:
            tokens = CellTokens.raw(section)
        else:
            tokens = CellTokens(section, cell_colours(section), self.arrays["mean"], self.arrays["sd"])
        nets = load_states((self._network() for _ in range(self.config.states)), self.arrays, device)
        scale = MinMax.of(self.arrays)

        def predict(rows: slice) -> Prediction:
            table = tokens(rows)
            mean = np.empty((len(table), len(section.genes)), dtype=np.float32)
            latent = np.empty((len(table), nets[0].width), dtype=np.float32)
            for first in range(0, len(table), BATCH):
                part = slice(first, first + BATCH)
                scaled, latent[part] = run(nets, table[part])
                mean[part] = scale.counts(scaled)
            return Prediction(mean, latent=latent)

        return predict

    def _network(self) -> IstarNet:
        """An untrained network for the learned tokens and genes."""
        from stsr.nn.networks.istar import IstarNet

        return IstarNet(len(self.arrays["mean"]), len(self.arrays["low"]))


def run(nets: list[IstarNet], tokens: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(cells, genes) median of the networks' scaled expression and (cells, width) latent of the first."""
    import torch

    with torch.inference_mode():
        x = torch.as_tensor(tokens, device=nets[0].out.weight.device)
        hidden = [net.hidden(x) for net in nets]
        rates = [net.rates(h).cpu().numpy() for net, h in zip(nets, hidden, strict=True)]
    return np.median(rates, axis=0), hidden[0].cpu().numpy()


def discs(section: Section, *, faithful: bool) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The cells under whole spots or, when faithful, under spots with more than half of their disc on tissue.

    Returns
    -------
    (n,) indices of the spots, (n, p) indices of their cells, (n, p) weights with which scaled expression adds up to that
    of the spot: the area of a cell that the spot covers or, when faithful, equal weights.
    """
    if faithful:
        tile = SpotTile.of(section)
        cells = tile_cells(section.grid, tile.corners(section), tile.side)[:, tile.disc]
        spots = np.flatnonzero((cells >= 0).mean(axis=1) > HALF)
        return spots, cells[spots], disc_weights(cells[spots] >= 0, faithful=True)
    patches = under_spots(section.footprint)
    weights = patches.weight / (np.float32(section.spot_cells) * section.covered[patches.anchor, None])
    on = whole_spots(section)[patches.anchor]
    return patches.anchor[on], patches.cells[on], weights[on]
