"""HISTEX: bidirectional cross-attention between the cells of a tile and a densified spot lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Arrays, Method, MethodInfo, Predictor, Training, register
from stsr.methods.histex_tiles import Surroundings, TilePredictor
from stsr.methods.inputs import require_spots
from stsr.methods.tiles import CellTokens, cell_colours
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.histex import HistexNet

_DEFAULTS: dict[bool, dict[str, float]] = {
    False: {"epochs": 30, "states": 1, "learning_rate": 5e-4},
    True: {"epochs": 500, "states": 5, "learning_rate": 1e-4},
}
"""What None stands for, corrected and as published."""


@dataclass(frozen=True)
class HistexConfig:
    """Options of HISTEX.

    Parameters
    ----------
    faithful
        Exactly as published. Attention scores are multiplied by heads^-½ instead of width^-½; the i-th spot is trained
        with the surroundings of the i-th point of the densified lattice; spots come in the same order every epoch; a
        spot's own counts are among what it sees, and counts are shown as scaled, not standardised; no spot is held
        out; positions are absolute; prediction is in disjoint tiles. (Ours in both modes: gradients clipped at norm 1,
        and the epoch of the lowest loss is kept.)
    epochs, states, learning_rate
        Passes over the spots, networks whose median is taken, and rate of Adam. None: 30, 1 and 5e-4, or the published
        500, 5 and 1e-4.
    batch
        Spots a step.
    patience
        Epochs without a better held-out loss after which training ends; not used when faithful.
    held_out
        Share of the spots kept for early stopping; not used when faithful.
    """

    faithful: bool = False
    epochs: int | None = None
    states: int | None = None
    learning_rate: float | None = None
    batch: int = 32
    patience: int = 5
    held_out: float = 0.1

    def __post_init__(self) -> None:
        for name, value in _DEFAULTS[self.faithful].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out={self.held_out} must lie between 0 and 1.")


@register
class Histex(Method):
    """Min-max scaled expression of 7 x 7 cells from their image tokens and the 5 nearest points of the lattice.

    The network (:class:`stsr.nn.histex.HistexNet`) is trained so that the mean over the cells of a disc is the spot's
    scaled count, ``(y - low) / (high - low)`` with a gene's extremes over spots. A cell's expected count is its scaled
    expression taken back, over the cells of a disc. By default a spot is hidden from what it is trained with and two
    tilings, half a tile apart, are blended; ``faithful=True`` is the published procedure.
    """

    info: ClassVar = MethodInfo(
        name="histex",
        title="Bidirectional cross-attention between image tokens and a densified spot lattice",
        paper="HISTEX (https://github.com/wenwenmin/HISTEX)",
        year=2025,
        needs=frozenset({"features", "image"}),
        gives=frozenset({"latent", "history"}),
        faithful=True,
    )
    Config: ClassVar = HistexConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train the networks; ``arrays`` holds their weights and what scales tokens and counts."""
        require_spots(section, self.info.name)
        tokens = CellTokens.learn(section)
        self.arrays = {"mean": tokens.mean, "sd": tokens.sd, **self._scale(section.counts.toarray())}
        surroundings = Surroundings(section, self.arrays, faithful=self.config.faithful)
        data = surroundings.spots(tokens)
        self.history = {}
        for state in range(self.config.states):
            self._train(state, data, surroundings.disc, seed + state, training)
        return self

    def _scale(self, counts: NDArray[np.float32]) -> Arrays:
        """Extremes of the counts (spots, genes), and mean and sd of what they scale to; as published, 0 and 1."""
        low, high = counts.min(axis=0), counts.max(axis=0)
        high = np.where(high > low, high, low + 1)
        scaled = (counts - low) / (high - low)
        centre, spread = scaled.mean(axis=0), np.maximum(scaled.std(axis=0), 1e-3)
        if self.config.faithful:
            centre, spread = np.zeros_like(centre), np.ones_like(spread)
        return {"low": low, "high": high, "centre": centre, "spread": spread}

    def _train(
        self, state: int, data: tuple[NDArray[Any], ...], disc: NDArray[np.bool_], seed: int, training: Training
    ) -> None:
        """Add one network to ``arrays`` and its losses to ``history``."""
        import torch
        from torch.utils.data import DataLoader, Subset, TensorDataset

        from stsr.nn.histex import DiscMeans
        from stsr.nn.trainer import fork_seed, train

        config = self.config
        spots = TensorDataset(*map(torch.as_tensor, data))
        order = np.random.default_rng(seed).permutation(len(spots)).tolist()
        cut = max(1, round(config.held_out * len(spots)))
        learned, held_out = Subset(spots, order[cut:]), Subset(spots, order[:cut])
        if config.faithful:
            learned = held_out = Subset(spots, range(len(spots)))
        with fork_seed(seed):
            module = DiscMeans(self._network(), torch.as_tensor(disc), learning_rate=config.learning_rate)
            losses = train(
                module,
                DataLoader(learned, batch_size=config.batch, shuffle=not config.faithful),
                DataLoader(held_out, batch_size=config.batch),
                epochs=config.epochs,
                patience=config.epochs if config.faithful else config.patience,
                training=training,
            )
        self.arrays |= {f"net{state}/{name}": value.cpu().numpy() for name, value in module.net.state_dict().items()}
        self.history |= {name + (f" {state + 1}" if state else ""): values for name, values in losses.items()}

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Let the tiles of ``section`` see all of its spots."""
        import torch

        tokens = CellTokens(section, cell_colours(section), self.arrays["mean"], self.arrays["sd"])
        nets = []
        for state in range(self.config.states):
            prefix = f"net{state}/"
            weights = {name.removeprefix(prefix): a for name, a in self.arrays.items() if name.startswith(prefix)}
            nets.append(self._network())
            nets[-1].load_state_dict({name: torch.as_tensor(a) for name, a in weights.items()})
        surroundings = Surroundings(section, self.arrays, faithful=self.config.faithful)
        return TilePredictor(tokens, surroundings, nets, device)

    def _network(self) -> HistexNet:
        """A network for the tokens and genes trained on, untrained; image tokens end in a position."""
        from stsr.nn.histex import HEADS, HistexNet

        scale = HEADS**-0.5 if self.config.faithful else None
        return HistexNet(len(self.arrays["mean"]) + 2, len(self.arrays["low"]), scale=scale)
