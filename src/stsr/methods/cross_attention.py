"""The default: bidirectional cross-attention between histology and spots, trained by hiding spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Method, MethodInfo, Predictor, Training, at_least_one, register
from stsr.methods.held_out import dispersion, hold_out
from stsr.methods.inputs import FEWEST, require_spots
from stsr.methods.patches import neighbours
from stsr.methods.scaling import Scaling
from stsr.methods.states import load_states, numbered
from stsr.methods.typical import Typical
from stsr.section import Section

if TYPE_CHECKING:
    import torch

    from stsr.methods.tissue import Tissue
    from stsr.nn.cross_attention import CrossAttentionNet
    from stsr.nn.histology import HistologyNet
    from stsr.nn.trainer import Task

PIXEL, BLOCK = 2.0, 16.0
"""µm, about: a pixel of the H&E that the convolutions see, and the side of the blocks of cells that they describe."""

SHORTEST_TILE = 12
"""Cells to a side; smaller tiles would be all border."""


@dataclass(frozen=True)
class CrossAttentionConfig:
    """Settings of ``cross_attention``.

    Parameters
    ----------
    neighbours
        Spots that a cell can look at.
    dim, heads, width, rank
        Token width; attention heads and their width; rank of the image's correction.
    read
        Widths of the layers that read the features of a cell.
    stem, dilations
        Width of the first convolution; dilations of those on blocks of cells.
    lengths
        Shortest and longest initial attention length, in pitches of the spots.
    reach
        Distance in cells between the tokens around a cell that expression asks.
    components
        Wider features are brought down to this many principal components.
    steps, passes, patience
        Training steps of a member and passes over the section at most; passes without a better held-out loss before it
        stops.
    learning_rate, weight_decay
        Of AdamW; the rate rises in a straight line, then falls along half a cosine.
    library_weight
        Weight of the library size beside the mean over genes in the loss.
    held_out
        Share of the spots kept from training for early stopping.
    tile
        Side of the squares of tissue a step is made of, in pitches of the spots.
    members, blind_members
        Networks, each with spots of its own held out. The latter know the features of cells alone and never see a spot:
        they also predict tissue that has none.
    blind_read, blind_rank
        Widths of their hidden layers and of their latent.
    blind_batch, blind_steps, blind_passes, blind_learning_rate
        Spots a step, training steps and passes over the spots at most, and learning rate, which falls to half.
    blind_share
        Weight of the blind where there are spots.
    diffusion
        Standard deviation in µm of the lateral spread of transcripts before they are captured: predictions are blurred
        by it, as measurements are.
    balance_edge, balance_length
        Mass balance: how far a spot's own ratio reaches beyond its edge, and standard deviation of the mean over spots
        that holds between them, in pitches of the spots.
    """

    neighbours: int = 12
    dim: int = 64
    heads: int = 8
    width: int = 16
    rank: int = 32
    read: tuple[int, ...] = (256, 256)
    stem: int = 16
    dilations: tuple[int, ...] = (1, 2)
    lengths: tuple[float, float] = (0.5, 3.2)
    reach: int = 3
    components: int = 128
    steps: int = 1400
    passes: int = 60
    patience: int = 6
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    library_weight: float = 0.03
    held_out: float = 0.1
    tile: float = 4.0
    members: int = 2
    blind_members: int = 4
    blind_read: tuple[int, ...] = (256, 256)
    blind_rank: int = 64
    blind_batch: int = 32
    blind_steps: int = 1800
    blind_passes: int = 40
    blind_learning_rate: float = 2e-3
    blind_share: float = 0.5
    diffusion: float = 8.0
    balance_edge: float = 0.12
    balance_length: float = 0.7

    def __post_init__(self) -> None:
        at_least_one(
            self,
            "members",
            "blind_members",
            "steps",
            "passes",
            "patience",
            "blind_batch",
            "blind_steps",
            "blind_passes",
        )
        if not 0 < self.held_out < 0.5:
            raise ValueError(f"held_out={self.held_out} must lie between 0 and 0.5; 0.1 is usual.")


@register
@dataclass
class CrossAttention(Method):
    """Rates per cell from image tokens and the spots around, brought into balance with what was measured."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="cross_attention",
        title="Bidirectional cross-attention of image tokens and spots, trained by hiding spots, mass balance",
        paper="stsr",
        year=2026,
        needs=frozenset({"features", "image"}),
        gives=frozenset({"latent", "sd", "history"}),
    )
    Config: ClassVar[type] = CrossAttentionConfig

    config: CrossAttentionConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train on the spots of ``section``, each hidden from its own neighbours."""
        from stsr.nn.device import pick_device
        from stsr.nn.trainer import fork_seed, train

        require_spots(section, self.info.name)
        scaling = Scaling.learn(section, width=self.config.components)
        self.arrays = scaling.arrays | Typical.learn(section).arrays
        self.arrays["pitch"] = np.array([section.pitch])
        with fork_seed(seed):
            tissue = self.tissue(section, pick_device(training.device), resident=True)
            tasks = [
                self.task(number, tissue, seed) for number in range(self.config.members + self.config.blind_members)
            ]
            histories = train(tasks, patience=self.config.patience, training=training)
        nets = [task.module.net for task in tasks]
        weights, self.history = numbered(list(zip(nets, histories, strict=True)))
        seeing, blind = tasks[: self.config.members], tasks[self.config.members :]
        self.arrays |= weights | {
            "dispersion/seeing": dispersion(seeing, tissue.device),
            "dispersion/blind": dispersion(blind, tissue.device),
        }
        return self

    def task(self, number: int, tissue: Tissue, seed: int) -> Task:
        """A network and how it is trained, with its own choice of spots to hold out."""
        from stsr.nn.trainer import fork_seed

        config, grid = self.config, tissue.section.grid
        rng = np.random.default_rng((seed, number))
        side = max(SHORTEST_TILE, round(config.tile * tissue.section.pitch / grid.bin_size))
        held_out = hold_out(grid.rowcol[tissue.patches.cells[:, 0]], side // 2, config.held_out, rng)
        with fork_seed(int(rng.integers(2**31))):
            if number < config.members:
                return self.with_spots_in_sight(self.seeing(tissue.section), tissue, held_out, side, rng)
            return self.from_features_alone(self.blind(tissue.section), tissue, held_out, rng)

    def with_spots_in_sight(
        self,
        net: CrossAttentionNet,
        tissue: Tissue,
        held_out: NDArray[np.bool_],
        side: int,
        rng: np.random.Generator,
    ) -> Task:
        """Learn from tiles of tissue, each spot hidden from itself."""
        from torch.utils.data import DataLoader

        from stsr.methods.tissue import Tiles
        from stsr.nn.hidden_spots import HiddenSpots
        from stsr.nn.trainer import Task

        config, near = self.config, neighbours(tissue.tree, self.config.neighbours, hide_self=True)
        tiles = Tiles(tissue, tissue.patches[~held_out], near, side=side, rng=rng)
        check = Tiles(tissue, tissue.patches[held_out], near, side=side // 2, rng=None)
        n_tiles = len(tiles.groups())
        epochs = max(1, min(config.passes, round(config.steps / n_tiles)))
        module = HiddenSpots(
            net,
            tissue.mean,
            library_weight=config.library_weight,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            total_steps=epochs * n_tiles,
        )
        return Task(module, DataLoader(tiles, batch_size=None), DataLoader(check, batch_size=None), epochs)

    def from_features_alone(
        self, net: HistologyNet, tissue: Tissue, held_out: NDArray[np.bool_], rng: np.random.Generator
    ) -> Task:
        """Learn from the cells of spots in any order."""
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        from stsr.nn.histology import HistologyDiscs
        from stsr.nn.trainer import Task

        config, order = self.config, torch.Generator().manual_seed(int(rng.integers(2**31)))

        def discs(which: NDArray[np.bool_]) -> TensorDataset:
            patches = tissue.patches[which]
            features = tissue.features_of(patches.cells)
            return TensorDataset(*map(torch.as_tensor, (features, patches.weight)), tissue.counts[patches.anchor].cpu())

        batches = DataLoader(discs(~held_out), batch_size=config.blind_batch, shuffle=True, generator=order)
        epochs = max(1, min(config.blind_passes, round(config.blind_steps / len(batches))))
        module = HistologyDiscs(
            net,
            tissue.mean,
            library_weight=config.library_weight,
            learning_rate=config.blind_learning_rate,
            weight_decay=config.weight_decay,
            total_steps=2 * epochs * len(batches),
        )
        return Task(module, batches, DataLoader(discs(held_out), batch_size=config.blind_batch), epochs)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Let every spot be seen, balance the discs, and predict bands of rows.

        Where there are too few spots to learn from, the image alone predicts, and they take part in the balance.
        """
        from stsr.methods.predictor import BandPredictor
        from stsr.nn.device import pick_device

        config, pitch = self.config, float(self.arrays["pitch"][0])
        many = len(section.spots) >= FEWEST
        seeing = [self.seeing(section) for _ in range(config.members)]
        blind = [self.blind(section) for _ in range(config.blind_members)]
        load_states([*seeing, *blind], self.arrays, device)
        return BandPredictor(
            self.tissue(section, pick_device(device)),
            seeing if many else [],
            blind,
            share=config.blind_share,
            pitch=pitch,
            spots=config.neighbours,
            diffusion=config.diffusion,
            edge=config.balance_edge * pitch,
            length=config.balance_length * pitch,
            dispersion=self.arrays["dispersion/seeing" if many else "dispersion/blind"],
        )

    def blind(self, section: Section) -> HistologyNet:
        """A network for a section's genes and features, untrained, that does not look at the spots."""
        from stsr.nn.histology import HistologyNet

        features = self.arrays["scaling/matrix"].shape[1]
        return HistologyNet(features, len(section.genes), read=self.config.blind_read, rank=self.config.blind_rank)

    def seeing(self, section: Section) -> CrossAttentionNet:
        """A network for a section's genes, features and bin size, untrained, that looks at the spots around."""
        from stsr.nn.cross_attention import CrossAttentionNet

        c, bin_size, pitch = self.config, section.grid.bin_size, float(self.arrays["pitch"][0])
        doublings = max(0, round(np.log2(BLOCK / bin_size)))
        return CrossAttentionNet(
            self.arrays["scaling/matrix"].shape[1],
            len(section.genes),
            halvings=max(doublings, round(np.log2(bin_size * 2**doublings / PIXEL))),
            block=2**doublings,
            dim=c.dim,
            heads=c.heads,
            width=c.width,
            rank=c.rank,
            read=c.read,
            stem=c.stem,
            dilations=c.dilations,
            lengths=(c.lengths[0] * pitch, c.lengths[1] * pitch),
            reach=c.reach,
        )

    def tissue(self, section: Section, device: torch.device, *, resident: bool = False) -> Tissue:
        """The section as tensors, as this method scales it and its networks look at it."""
        from stsr.methods.tissue import Tissue

        scaling, typical = Scaling.load(self.arrays), Typical.load(self.arrays)
        view = self.seeing(section).view
        return Tissue(section, scaling, typical, view=view, device=device, resident=resident)
