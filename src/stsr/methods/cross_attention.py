"""The default: bidirectional cross-attention between histology and spots, trained by hiding spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Method, MethodInfo, Predictor, Training, register
from stsr.methods.features import Scaling
from stsr.methods.inputs import FEWEST, require_spots
from stsr.methods.patches import neighbours
from stsr.methods.states import load_states, numbered
from stsr.methods.typical import Typical
from stsr.section import Section

if TYPE_CHECKING:
    import torch

    from stsr.methods.tissue import Tiles, Tissue
    from stsr.nn.cross_attention import CrossAttentionNet

PIXEL, BLOCK = 2.0, 16.0
"""µm, about: a pixel of the H&E that the convolutions see, and the side of the blocks of cells that they describe."""

STRENGTH = 50.0
"""UMI counts that the mean over genes is worth when a gene's own dispersion is estimated."""

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
        Networks trained one after another, each with spots of its own held out. The latter never see a spot: they judge
        by the image alone, and predict tissue that has no spots.
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
    stem: int = 16
    dilations: tuple[int, ...] = (1, 2)
    lengths: tuple[float, float] = (0.5, 3.2)
    reach: int = 3
    components: int = 64
    steps: int = 1400
    passes: int = 60
    patience: int = 6
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    library_weight: float = 0.03
    held_out: float = 0.1
    tile: float = 4.0
    members: int = 3
    blind_members: int = 2
    blind_share: float = 0.3
    diffusion: float = 8.0
    balance_edge: float = 0.12
    balance_length: float = 0.7


@dataclass(frozen=True, eq=False)
class Member:
    """A trained network.

    Parameters
    ----------
    net, history
        The network at its best weights, and its losses by epoch.
    counts, expected
        (spots, genes) counts of the spots held out, and what it expects of them.
    """

    net: CrossAttentionNet
    history: dict[str, list[float]]
    counts: NDArray[np.float32]
    expected: NDArray[np.float32]


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
        from stsr.nn.trainer import fork_seed

        require_spots(section, self.info.name)
        scaling = Scaling.learn(section, width=self.config.components)
        self.arrays = {"scaling/mean": scaling.mean, "scaling/matrix": scaling.matrix} | Typical.learn(section).arrays
        self.arrays["pitch"] = np.array([section.pitch])
        with fork_seed(seed):
            tissue = self.tissue(section, self.network(section), pick_device(training.device), resident=True)
        near = neighbours(tissue.tree, self.config.neighbours, hide_self=True)
        trained = []
        for number in range(self.config.members + self.config.blind_members):
            rng = np.random.default_rng((seed, number))
            with fork_seed(int(rng.integers(2**31))):
                seen = near if number < self.config.members else near[:, :0]
                trained.append(self.train_member(tissue, seen, rng, training))
        weights, self.history = numbered([(member.net, member.history) for member in trained])
        self.arrays |= weights
        seeing, blind = trained[: self.config.members], trained[self.config.members :]
        self.arrays |= {"dispersion/seeing": dispersion(seeing), "dispersion/blind": dispersion(blind)}
        return self

    def train_member(
        self, tissue: Tissue, near: NDArray[np.int64], rng: np.random.Generator, training: Training
    ) -> Member:
        """Train a network that sees the spots ``near`` (spots, k) around each, and try it on those that were held out."""
        from torch.utils.data import DataLoader

        from stsr.methods.tissue import Tiles
        from stsr.nn.hidden_spots import HiddenSpots
        from stsr.nn.trainer import train

        config, section = self.config, tissue.section
        net = self.network(section)
        side = max(SHORTEST_TILE, round(config.tile * section.pitch / section.grid.bin_size))
        held_out = hold_out(Tiles(tissue, tissue.patches, near, side=side // 2, rng=None), config.held_out, rng)
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
        history = train(
            module,
            DataLoader(tiles, batch_size=None),
            DataLoader(check, batch_size=None),
            epochs=epochs,
            patience=config.patience,
            training=training,
        )
        return Member(net, history, *unseen(net, check))

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Let every spot be seen, balance the discs, and predict bands of rows.

        Where there are too few spots to learn from, the image alone predicts, and they take part in the balance.
        """
        from stsr.methods.predictor import BandPredictor
        from stsr.nn.device import pick_device

        config, pitch = self.config, float(self.arrays["pitch"][0])
        many = len(section.spots) >= FEWEST
        nets = load_states(lambda: self.network(section), self.arrays, config.members + config.blind_members, device)
        seeing, blind = nets[: config.members if many else 0], nets[config.members :]
        return BandPredictor(
            self.tissue(section, blind[0], pick_device(device)),
            seeing,
            blind,
            share=config.blind_share,
            pitch=pitch,
            spots=config.neighbours,
            diffusion=config.diffusion,
            edge=config.balance_edge * pitch,
            length=config.balance_length * pitch,
            dispersion=self.arrays["dispersion/seeing" if many else "dispersion/blind"],
        )

    def network(self, section: Section) -> CrossAttentionNet:
        """The network for a section's genes, features and bin size, untrained."""
        from stsr.nn.cross_attention import CrossAttentionNet

        c, bin_size, pitch = self.config, section.grid.bin_size, float(self.arrays["pitch"][0])
        doublings = max(0, round(np.log2(BLOCK / bin_size)))
        return CrossAttentionNet(
            features=self.arrays["scaling/matrix"].shape[1],
            genes=len(section.genes),
            halvings=max(doublings, round(np.log2(bin_size * 2**doublings / PIXEL))),
            block=2**doublings,
            dim=c.dim,
            heads=c.heads,
            width=c.width,
            rank=c.rank,
            stem=c.stem,
            dilations=c.dilations,
            lengths=(c.lengths[0] * pitch, c.lengths[1] * pitch),
            reach=c.reach,
        )

    def tissue(
        self, section: Section, net: CrossAttentionNet, device: torch.device, *, resident: bool = False
    ) -> Tissue:
        """The section as tensors, as this method scales it."""
        from stsr.methods.tissue import Tissue

        scaling = Scaling(self.arrays["scaling/mean"], self.arrays["scaling/matrix"])
        typical = Typical.load(self.arrays)
        return Tissue(section, scaling, typical, view=net.view, device=device, resident=resident)


def hold_out(tiles: Tiles, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(patches,) mask of about a ``share`` of the spots, in whole tiles: few windows are then needed to check on them.

    A section that is little more than one tile gives up single spots.
    """
    held_out = np.zeros(len(tiles.patches), dtype=bool)
    groups = tiles.groups()
    rng.shuffle(groups)
    for group in groups:
        if held_out.sum() >= share * len(held_out):
            break
        if held_out.sum() + len(group) <= len(held_out) / 2:
            held_out[group] = True
    if not held_out.any():
        held_out[rng.permutation(len(held_out))[: max(1, round(share * len(held_out)))]] = True
    return held_out


def unseen(net: CrossAttentionNet, check: Tiles) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(spots, genes) counts of spots that were held out, and what a network expects of them."""
    import torch

    pairs = []
    with torch.inference_mode():
        net = net.to(check.tissue.device).eval()
        for tile in check:
            rates, _, _ = net(net.tokens(tile.features, tile.pixels), tile.patch, check.tissue.mean)
            pairs.append((tile.counts[:, :-1], torch.einsum("np,npg->ng", tile.patch.weight, rates)))
    counts, expected = (torch.cat(parts).cpu().numpy() for parts in zip(*pairs, strict=True))
    return counts, expected


def dispersion(members: Sequence[Member]) -> NDArray[np.float32]:
    """(genes,) variance of the rates over their squares, from what members expect of the spots held out of them.

    The moment estimate of a gene is drawn towards that of all genes, the more the fewer its counts tell.
    """
    counts = np.concatenate([member.counts for member in members])
    expected = np.concatenate([member.expected for member in members])
    excess, square = (counts - expected) ** 2 - expected, expected**2
    common = max(excess.sum() / square.sum(), 1e-3)
    # What one gene tells is worth its Poisson information, as against that of STRENGTH counts.
    told = square.sum(axis=0) / np.maximum(expected.mean(axis=0), 1e-6)
    own = excess.sum(axis=0) / np.maximum(square.sum(axis=0), 1e-6)
    return np.maximum((told * own + STRENGTH * common) / (told + STRENGTH), 0.1 * common).astype(np.float32)
