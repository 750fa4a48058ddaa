"""HISTEX: bidirectional cross-attention between the cells of a tile and a densified spot lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from stsr.methods.base import Method, MethodInfo, Predictor, Training, register
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.cell_tiles import CellTokens, cell_colours
from stsr.methods.shared.depth import at_depth, depth_array, rescaled
from stsr.methods.shared.ensembles import EnsembleConfig, load_states, networks, train_ensemble
from stsr.methods.shared.requirements import require_spots
from stsr.methods.shared.targets import MinMax, standard
from stsr.methods.super_resolution.histex_tiles import Surroundings, TilePredictor
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.networks.histex import HistexNet


@dataclass(frozen=True)
class HistexConfig(EnsembleConfig):
    """Options of HISTEX.

    Parameters
    ----------
    faithful
        Exactly as published. Attention scores are multiplied by heads^-½ instead of width^-½; the i-th spot is trained
        with the neighbours of the i-th point of the densified lattice; spots are in the same order every epoch; a spot's
        own counts are among its inputs, and input counts are scaled, not standardised; they are scaled from their
        minimum, and a disc is the mean of its cells on tissue, not their sum; no spot is held out; positions are
        absolute; tiles of a prediction are disjoint. (Ours in both modes: image tokens are standardised, gradients are
        clipped at norm 1, and the epoch with the lowest loss is kept.)
    epochs, states, learning_rate, batch
        Largest number of epochs, ensemble members (their median is used), learning rate, and spots per step. None: 30, 1, 5e-4
        and 32, or the published 500, 5, 1e-4 and 32.
    patience
        Epochs without a lower held-out loss after which training ends; not used when faithful.
    held_out
        Share of the spots kept for early stopping; not used when faithful.
    """

    corrected: ClassVar = {"epochs": 30, "states": 1, "learning_rate": 5e-4, "batch": 32}
    published: ClassVar = {"epochs": 500, "states": 5, "learning_rate": 1e-4, "batch": 32}


@register
class Histex(Method):
    """A network that predicts tiles of 7 x 7 cells, by attention both ways between image tokens and expression.

    The expression is that of the nearest points of a densified spot lattice. The network is trained so that the cells
    under a spot add up to its counts, scaled for each gene to 0 to 1.

    Formula
    -------
    ::

        f(tile) = network(image tokens of 49 cells, expression of the 5 nearest lattice points)
        λ_g(b) = (low_g + (high_g - low_g) f_g(b)) / a
        trained by:  Σ_s Σ_g (Σ_b w_sb f_g(b) - scaled y_sg)²

    - λ_g(b): expected count of gene g in cell b
    - low, high: range of the counts of a gene over spots; low is 0 by default
    - w_sb: weight of cell b in the disc of spot s; a: cells in a disc

    Architecture
    ------------
    - ``embed_image`` ← image tokens: linear layer, features, colour and position of 49 cells
    - ``embed_expression`` ← expression: linear layer, counts and position of 5 lattice points
    - ``blocks`` ← ``embed_image``, ``embed_expression``: two blocks: image attends to expression, expression to image,
      then the first result to the second
    - ``head`` ← ``blocks``, image tokens: perceptron of four hidden layers, scaled expression of each cell

    Source
    ------
    The network, the densified lattice and the loss over discs follow the published code. By default a spot's own
    counts are hidden from its inputs, a disc is the sum of its cells, counts are scaled from zero, positions are
    relative to the tile, and two tilings half a tile apart are blended. ``faithful=True`` runs the published
    procedure; the options say what it is.

    Use
    ---
    To compare with the published method.
    """

    info: ClassVar = MethodInfo(
        name="histex",
        title="Bidirectional cross-attention between image tokens and a densified spot lattice",
        paper="HISTEX (https://github.com/wenwenmin/HISTEX)",
        year=2025,
        references=("histex2025",),
        needs=frozenset({"features", "image", "spots"}),
        gives=frozenset({"latent", "history"}),
        faithful=True,
        predict_spots=3,
        quick={"epochs": 2},
    )
    Config: ClassVar = HistexConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train the networks; ``arrays`` holds their weights and the scales of tokens and counts."""
        import torch

        from stsr.nn.networks.histex import HistexDiscs

        require_spots(section, self.info.name)
        config = self.config
        tokens, scale = CellTokens.learn(section), MinMax.learn(section, faithful=config.faithful)
        self.arrays = {"mean": tokens.mean, "sd": tokens.sd, **scale.arrays}
        self.arrays["depth"] = depth_array(section)
        self.arrays |= standard(scale.scaled(section), faithful=config.faithful)
        surroundings = Surroundings(section, self.arrays, faithful=config.faithful)
        disc = torch.as_tensor(surroundings.tile.disc)
        weights, self.history = train_ensemble(
            lambda: HistexDiscs(self._network(), disc, recipe=config.recipe(shuffle=not config.faithful)),
            surroundings.spots(tokens),
            config,
            seed=seed,
            training=training,
        )
        self.arrays |= weights
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield from CellTokens.expected(facts)
        yield from MinMax.expected(facts)
        yield "depth", Array((1,), low=LEAST)
        yield "centre", Array((facts.genes,))
        yield "spread", Array((facts.genes,), low=LEAST)
        yield from networks(self._network, self.config.states)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Predict the tiles of ``section`` from all of its spots, with counts scaled to the learned sequencing depth."""
        section, back = at_depth(section, self.arrays["depth"])
        tokens = CellTokens(section, cell_colours(section), self.arrays["mean"], self.arrays["sd"])
        surroundings = Surroundings(section, self.arrays, faithful=self.config.faithful)
        nets = load_states((self._network() for _ in range(self.config.states)), self.arrays, device)
        return rescaled(TilePredictor(tokens, surroundings, nets), back)

    def _network(self) -> HistexNet:
        """An untrained network for the learned tokens and genes; the last two values of an image token are its position."""
        from stsr.nn.networks.histex import HEADS, HistexNet

        scale = HEADS**-0.5 if self.config.faithful else None
        return HistexNet(len(self.arrays["mean"]) + 2, len(self.arrays["low"]), scale=scale)
