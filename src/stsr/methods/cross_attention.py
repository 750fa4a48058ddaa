"""The default: bidirectional cross-attention between histology and spots, trained by hiding spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.balance import Balance
from stsr.methods.base import Method, MethodInfo, Prediction, Predictor, Training, register
from stsr.methods.features import Scaling
from stsr.methods.inputs import require_spots
from stsr.methods.patches import around_spots, neighbours
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.methods.tissue import Tiles, Tissue
    from stsr.nn.cross_attention import CrossAttentionNet

PIXEL = 2.0
"""µm to a pixel of the H&E that the convolutions see."""


@dataclass(frozen=True)
class CrossAttentionConfig:
    """Settings of ``cross_attention``.

    Parameters
    ----------
    neighbours
        Spots that a cell can look at.
    dim, heads, width, rank
        Token width; attention heads and their width; rank of the image's correction.
    stem, dilations
        Width of the first convolutions; dilations of the blocks on the grid.
    lengths
        Shortest and longest initial attention length in µm.
    reach
        Distance in cells between the tokens around a cell that expression asks.
    components
        Wider features are brought down to this many principal components.
    steps, patience
        Training steps at most; passes over the section without a better held-out loss before it stops.
    learning_rate, weight_decay
        AdamW with a one-cycle schedule.
    held_out
        Share of the spots kept from training for early stopping.
    tile
        Side in µm of the squares of tissue a step is made of.
    balance_length, balance_pseudo_count
        Mass balance: standard deviation of its taper in µm, and UMI counts added to both sides of its ratios.
    """

    neighbours: int = 12
    dim: int = 64
    heads: int = 8
    width: int = 16
    rank: int = 32
    stem: int = 32
    dilations: tuple[int, ...] = (1, 2, 3)
    lengths: tuple[float, float] = (50.0, 320.0)
    reach: int = 3
    components: int = 64
    steps: int = 800
    patience: int = 6
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    held_out: float = 0.1
    tile: float = 768.0
    balance_length: float = 28.0
    balance_pseudo_count: float = 1.5


@register
@dataclass
class CrossAttention(Method):
    """Rates per cell from image tokens and the spots around, brought into balance with what was measured."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="cross_attention",
        title="bidirectional cross-attention of image tokens and spots, hidden-spot training, mass balance",
        paper="stsr",
        year=2026,
        needs=frozenset({"features", "image"}),
        gives=frozenset({"latent", "history"}),
    )
    Config: ClassVar[type] = CrossAttentionConfig

    config: CrossAttentionConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train on the spots of ``section``, each hidden from its own neighbours."""
        from torch.utils.data import DataLoader

        from stsr.methods.tissue import Tiles
        from stsr.nn.hidden_spots import HiddenSpots
        from stsr.nn.trainer import fork_seed, pick_device, train

        config = self.config
        require_spots(section, self.info.name)
        rng = np.random.default_rng(seed)
        scaling = Scaling.learn(section, width=config.components)
        self.arrays = {"scaling/mean": scaling.mean, "scaling/matrix": scaling.matrix}
        with fork_seed(seed):
            net = self.network(section)
            tissue = self.tissue(section, net, pick_device(training.device))
            near = neighbours(tissue.tree, config.neighbours, hide_self=True)
            everyone = np.ones(len(section.spots), dtype=bool)
            side = max(8, round(config.tile / section.grid.bin_size))
            held_out = hold_out(Tiles(tissue, everyone, near, side=side // 2, rng=None), config.held_out, rng)
            tiles = Tiles(tissue, ~held_out, near, side=side, rng=rng)
            check = Tiles(tissue, held_out, near, side=side // 2, rng=None)
            epochs = max(1, round(config.steps / len(tiles.groups())))
            module = HiddenSpots(
                net,
                tissue.mean,
                learning_rate=config.learning_rate,
                weight_decay=config.weight_decay,
                total_steps=config.steps,
            )
            self.history = train(
                module,
                DataLoader(tiles, batch_size=None),
                DataLoader(check, batch_size=None),
                epochs=epochs,
                patience=config.patience,
                training=training,
            )
        self.arrays |= {f"net/{name}": value.cpu().numpy() for name, value in net.state_dict().items()}
        return self

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Let every spot be seen, balance the discs, and predict bands of rows."""
        import torch

        from stsr.nn.trainer import pick_device

        net = self.network(section)
        prefix = "net/"
        net.load_state_dict(
            {
                name.removeprefix(prefix): torch.as_tensor(a)
                for name, a in self.arrays.items()
                if name.startswith(prefix)
            }
        )
        chosen = pick_device(device)
        return BandPredictor(self.tissue(section, net, chosen), net.eval().to(chosen), self.config)

    def network(self, section: Section) -> CrossAttentionNet:
        """The network for a section's genes, features and bin size, untrained."""
        from stsr.nn.cross_attention import CrossAttentionNet

        c = self.config
        return CrossAttentionNet(
            features=self.arrays["scaling/matrix"].shape[1],
            genes=len(section.genes),
            halvings=max(0, round(np.log2(section.grid.bin_size / PIXEL))),
            dim=c.dim,
            heads=c.heads,
            width=c.width,
            rank=c.rank,
            stem=c.stem,
            dilations=c.dilations,
            lengths=c.lengths,
            reach=c.reach,
        )

    def tissue(self, section: Section, net: CrossAttentionNet, device) -> Tissue:
        """The section as tensors, as this method scales it."""
        from stsr.methods.tissue import Tissue

        scaling = Scaling(self.arrays["scaling/mean"], self.arrays["scaling/matrix"])
        return Tissue(section, scaling, halvings=net.pixels.halvings, halo=net.halo, device=device)


def hold_out(tiles: Tiles, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(spots,) mask of about a ``share`` of the spots, in whole tiles: few windows are then needed to check on them."""
    groups = tiles.groups()
    rng.shuffle(groups)
    held_out = np.zeros(tiles.tissue.tree.n, dtype=bool)
    for group in groups:
        if held_out.sum() >= share * len(tiles.patches):
            break
        held_out[tiles.patches.anchor[group]] = True
    return held_out


class BandPredictor:
    """A trained network bound to a section."""

    patch_size = 64
    """Cells a patch."""
    batch_values = 2**21
    """Rates (cells x genes) computed at a time: they stay in cache, and memory stays flat."""

    def __init__(self, tissue: Tissue, net: CrossAttentionNet, config: CrossAttentionConfig) -> None:
        self.tissue, self.net = tissue, net
        self.near = neighbours(tissue.tree, config.neighbours, hide_self=False)
        self.balance = Balance.learn(
            tissue.tree,
            tissue.section.counts.toarray(),
            self.disc_sums(config),
            length=config.balance_length,
            pseudo_count=config.balance_pseudo_count,
        )

    def disc_sums(self, config: CrossAttentionConfig) -> np.ndarray:
        """(spots, genes) predicted counts under each spot, before balance."""
        import torch

        from stsr.methods.tissue import Tiles

        tissue = self.tissue
        sums = np.zeros(tissue.counts.shape, dtype=np.float32)
        side = max(8, round(config.tile / tissue.section.grid.bin_size))
        everywhere = Tiles(tissue, np.ones(len(sums), dtype=bool), self.near, side=side, rng=None)
        with torch.inference_mode():
            for group in everywhere.groups():
                tile = everywhere.tile(group)
                rates, _ = self.net(self.net.tokens(tile.features, tile.pixels), tile.patch, tissue.mean)
                discs = torch.einsum("np,npg->ng", tile.patch.weight, rates)
                sums[everywhere.patches.anchor[group]] = discs.cpu().numpy()
        return sums

    def __call__(self, rows: slice) -> Prediction:
        """Predict a band of rows."""
        import torch

        tissue, grid = self.tissue, self.tissue.section.grid
        start, stop, _ = rows.indices(grid.shape[0])
        cells = grid.cells(rows)
        genes = tissue.counts.shape[1]
        mean = np.zeros((cells.stop - cells.start, genes), dtype=np.float32)
        latent = np.zeros((len(mean), self.net.correct.in_features), dtype=np.float32)
        if not len(mean):
            return Prediction(mean, latent=latent)
        window = (slice(start, stop), slice(0, grid.shape[1]))
        patches = around_spots(grid, cells, tissue.tree, size=self.patch_size)
        batch = max(1, self.batch_values // (self.patch_size * genes))
        with torch.inference_mode():
            tokens = self.net.tokens(*tissue.window(window))
            for first in range(0, len(patches), batch):
                part = patches[first : first + batch]
                rates, hidden = self.net(tokens, tissue.patch(part, window, self.near), tissue.mean)
                real = part.weight > 0
                place = part.cells[real] - cells.start
                mean[place] = rates.cpu().numpy()[real] * self.balance(grid.xy[part.cells[real]])
                latent[place] = hidden.cpu().numpy()[real]
        return Prediction(mean, latent=latent)
