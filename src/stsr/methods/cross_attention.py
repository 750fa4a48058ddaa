"""The default: bidirectional cross-attention between histology and spots, trained by hiding spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Method, MethodInfo, Predictor, Training, register
from stsr.methods.correction import BALANCES
from stsr.methods.expected import Array, Expected, Facts
from stsr.methods.held_out import all_unseen, dispersion, explained, hold_out
from stsr.methods.inputs import enough_spots, require_spots
from stsr.methods.residuals import Residuals
from stsr.methods.scaling import Scaling
from stsr.methods.states import load_states, networks, numbered
from stsr.methods.typical import Typical
from stsr.options import Choice, Items, Number, Options, Whole
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

MANY = 1000
"""Spots from which on readers do not stop early, fewer being soon known by heart, and networks hold few of them out each."""

LARGEST_PITCH = 10_000.0
"""µm between spots, beyond which a file that says so is not believed."""

TELLING = 0.1
"""Share of the deviance of unseen spots from their mean that readers must explain from the image alone to be heard. On
sections of about a hundred spots noise or another place's H&E came to .07 at most, by chance, and their own to .2 at least."""


IMAGE_HEADS = 4
"""Attention heads by which expression asks the image, of :class:`stsr.nn.cross_attention.CrossAttentionNet`."""

WIDTHS = Items(Whole(1, 2048), most=4)


@dataclass(frozen=True)
class CrossAttentionConfig(Options):
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
        Training steps of a member and passes over the section at most; passes without a better held-out loss before it,
        or a reader of few spots, stops.
    learning_rate, weight_decay
        Of AdamW; the rate rises in a straight line, then stays, and weights are averaged.
    library_weight
        Weight of the library size beside the mean over genes in the loss.
    held_out
        Share of the spots kept from a network to see how it does; of many spots, from all networks of its kind together.
    tile
        Side of the squares of tissue a step is made of, in pitches of the spots.
    members, readers
        Networks, each with spots of its own held out: those that attend to the spots, and those that do no more than read
        the features of cells and what :class:`~stsr.methods.residuals.Residuals` tell of the tissue around. The latter
        also predict tissue that has no spots.
    reader_widths, reader_rank
        Widths of their hidden layers and of their latent.
    reader_batch, reader_steps, reader_passes, reader_learning_rate
        Spots a step, training steps and passes over the spots at most, and learning rate.
    reader_share
        Weight of the readers where there are spots; none if the image alone tells them next to nothing of unseen spots.
    directions, context_length
        Directions of expression in which spots tell of the tissue around, and standard deviation of the Gaussian by which
        they do, in pitches of the spots.
    diffusion
        Standard deviation in µm of the lateral spread of transcripts before they are captured: predictions are blurred
        by it, as measurements are.
    balance
        How spots correct what is predicted: ``"signal"``, by what they measured as far as it is more than noise, and with
        no larger steps at their edges than elsewhere (:class:`~stsr.methods.correction.SignalCorrection`); ``"exact"``, so
        that the cells under a spot add up to what it measured, noise and all
        (:class:`~stsr.methods.exact_balance.ExactBalance`); or ``"none"``.
    """

    neighbours: Annotated[int, Whole(1, 128)] = 12
    dim: Annotated[int, Whole(4, 1024)] = 64
    heads: Annotated[int, Whole(1, 64)] = 8
    width: Annotated[int, Whole(1, 256)] = 16
    rank: Annotated[int, Whole(1, 1024)] = 32
    read: Annotated[tuple[int, ...], WIDTHS] = (256, 256)
    stem: Annotated[int, Whole(1, 256)] = 16
    dilations: Annotated[tuple[int, ...], Items(Whole(1, 16), most=4)] = (1, 2)
    lengths: Annotated[tuple[float, float], Items(Number(0.01, 100), least=2, most=2)] = (0.5, 3.2)
    reach: Annotated[int, Whole(1, 32)] = 3
    components: Annotated[int, Whole(1, 4096)] = 192
    steps: Annotated[int, Whole(1, 1_000_000)] = 1450
    passes: Annotated[int, Whole(1, 100_000)] = 60
    patience: Annotated[int, Whole(1, 100_000)] = 6
    learning_rate: Annotated[float, Number(1e-8, 0.1)] = 5e-3
    weight_decay: Annotated[float, Number(0, 10)] = 1e-2
    library_weight: Annotated[float, Number(0, 100)] = 0.03
    held_out: Annotated[float, Number(0.001, 0.5)] = 0.1
    tile: Annotated[float, Number(0.1, 1000)] = 4.0
    members: Annotated[int, Whole(1, 32)] = 2
    readers: Annotated[int, Whole(1, 32)] = 4
    reader_widths: Annotated[tuple[int, ...], WIDTHS] = (384, 384)
    reader_rank: Annotated[int, Whole(1, 1024)] = 128
    reader_batch: Annotated[int, Whole(1, 65_536)] = 32
    reader_steps: Annotated[int, Whole(1, 1_000_000)] = 1800
    reader_passes: Annotated[int, Whole(1, 100_000)] = 20
    reader_learning_rate: Annotated[float, Number(1e-8, 0.1)] = 4e-3
    reader_share: Annotated[float, Number(0, 1)] = 0.6
    directions: Annotated[int, Whole(1, 256)] = 20
    context_length: Annotated[float, Number(0.01, 100)] = 0.6
    diffusion: Annotated[float, Number(0, 50)] = 8.0
    balance: Annotated[str, Choice(BALANCES)] = "signal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % IMAGE_HEADS:
            raise ValueError(
                f"dim={self.dim} is not allowed; pass a multiple of {IMAGE_HEADS}, the heads by which expression asks the image."
            )
        if self.lengths[0] > self.lengths[1]:
            raise ValueError(f"lengths={self.lengths} is not allowed; pass the shortest first.")


@register
@dataclass
class CrossAttention(Method):
    """Rates per cell from image tokens and the spots around, corrected by what the spots measured beyond them."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="cross_attention",
        title="Bidirectional cross-attention of image tokens and spots, trained by hiding spots",
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
        residuals = Residuals.learn(section, directions=self.config.directions)
        self.arrays = scaling.arrays | Typical.learn(section).arrays | residuals.arrays
        self.arrays["pitch"] = np.array([section.pitch])
        with fork_seed(seed):
            tissue = self.tissue(section, pick_device(training.device), training=True)
            tasks = [self.task(number, tissue, seed) for number in range(self.config.members + self.config.readers)]
            histories = train(tasks, training=training)
        nets = [task.module.net for task in tasks]
        weights, self.history = numbered(list(zip(nets, histories, strict=True)))
        attending, reading = tasks[: self.config.members], tasks[self.config.members :]
        near, far = (all_unseen(group, tissue.device) for group in (attending, reading))
        # An image that says next to nothing of unseen spots is not listened to.
        heard = explained(tissue.mean[:-1].cpu().numpy() * section.spot_cells, *far) > TELLING
        self.arrays |= weights | {
            "dispersion/spots": dispersion(*near),
            "dispersion/image": dispersion(*far),
            "reader_share": np.array([self.config.reader_share if heard else 0.0]),
        }
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        config = self.config
        yield from Scaling.expected(facts, width=config.components)
        yield from Typical.expected(facts)
        yield from Residuals.expected(facts)
        yield "pitch", Array((1,), low=1, high=LARGEST_PITCH)
        yield "dispersion/spots", Array((facts.genes,), low=0)
        yield "dispersion/image", Array((facts.genes,), low=0)
        yield "reader_share", Array((1,), low=0, high=1)
        yield from networks(lambda: self.attending(facts.genes, facts.bin_size), config.members)
        yield from networks(lambda: self.reading(facts.genes), config.readers, first=config.members)

    def task(self, number: int, tissue: Tissue, seed: int) -> Task:
        """A network and how it is trained, with its own choice of spots to hold out."""
        from stsr.nn.trainer import fork_seed

        config, grid = self.config, tissue.section.grid
        rng = np.random.default_rng((seed, number))
        side = max(SHORTEST_TILE, round(config.tile * tissue.section.pitch / grid.bin_size))
        attends, many = number < config.members, len(tissue.section.spots) >= MANY
        # Of many spots a few of each network tell how far to trust all of a kind.
        share = config.held_out / ((config.members if attends else config.readers) if many else 1)
        held_out = hold_out(grid.rowcol[tissue.patches.cells[:, 0]], side // 2, share, rng)
        with fork_seed(int(rng.integers(2**31))):
            if attends:
                return self.on_tiles(
                    self.attending(len(tissue.section.genes), grid.bin_size), tissue, held_out, side, rng
                )
            patience = None if many else config.patience
            return self.on_discs(self.reading(len(tissue.section.genes)), tissue, held_out, patience, rng)

    def on_tiles(
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

        config = self.config
        tiles = Tiles(tissue, tissue.patches[~held_out], side=side, rng=rng)
        check = Tiles(tissue, tissue.patches[held_out], side=side // 2, rng=None)
        n_tiles = len(tiles.groups())
        epochs = max(1, min(config.passes, config.steps // n_tiles))
        module = HiddenSpots(
            net,
            tissue.mean,
            library_weight=config.library_weight,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            total_steps=epochs * n_tiles,
        )
        batches, held_out_batches = (DataLoader(part, batch_size=None) for part in (tiles, check))
        return Task(module, batches, held_out_batches, epochs, config.patience)

    def on_discs(
        self,
        net: HistologyNet,
        tissue: Tissue,
        held_out: NDArray[np.bool_],
        patience: int | None,
        rng: np.random.Generator,
    ) -> Task:
        """Learn from the cells of spots in any order, each spot hidden from itself.

        Of many spots to the end: no loss on squares of tissue tells when what is between spots a pitch apart is predicted
        best. What is held out is predicted from the image alone, and tells how far predictions without spots can be
        trusted.
        """
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        from stsr.nn.histology import HistologyDiscs
        from stsr.nn.trainer import Task

        config, order = self.config, torch.Generator().manual_seed(int(rng.integers(2**31)))

        def discs(which: NDArray[np.bool_], told: bool) -> TensorDataset:
            patches = tissue.patches[which]
            features, weight = map(torch.as_tensor, (tissue.features_of(patches.cells), patches.weight))
            context = tissue.context(*tissue.around(patches)).cpu() * told
            return TensorDataset(features, context, weight, tissue.counts[patches.anchor].cpu())

        batches = DataLoader(discs(~held_out, True), batch_size=config.reader_batch, shuffle=True, generator=order)
        check = DataLoader(discs(held_out, False), batch_size=config.reader_batch)
        epochs = max(1, min(config.reader_passes, config.reader_steps // len(batches)))
        module = HistologyDiscs(
            net,
            tissue.mean,
            library_weight=config.library_weight,
            learning_rate=config.reader_learning_rate,
            weight_decay=config.weight_decay,
            total_steps=epochs * len(batches),
        )
        return Task(module, batches, check, epochs, patience)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Let every spot be seen, correct by what they measured, and predict bands of rows.

        Where there are too few spots on tissue to learn from, the image alone predicts, and is corrected by them.
        """
        from stsr.methods.predictor import BandPredictor
        from stsr.nn.device import pick_device

        config, pitch = self.config, float(self.arrays["pitch"][0])
        enough = enough_spots(section)
        genes, bin_size = len(section.genes), section.grid.bin_size
        attending = [self.attending(genes, bin_size) for _ in range(config.members)]
        reading = [self.reading(genes) for _ in range(config.readers)]
        load_states([*attending, *reading], self.arrays, device)
        return BandPredictor(
            self.tissue(section, pick_device(device)),
            attending if enough else [],
            reading,
            share=float(self.arrays["reader_share"][0]),
            pitch=pitch,
            diffusion=config.diffusion,
            balance=config.balance,
            dispersion=self.arrays["dispersion/spots" if enough else "dispersion/image"],
        )

    def reading(self, genes: int) -> HistologyNet:
        """A network for the features learned from, untrained, that reads a cell's."""
        from stsr.nn.histology import HistologyNet

        widths, rank = self.config.reader_widths, self.config.reader_rank
        return HistologyNet(*self.told, genes, read=widths, rank=rank)

    @property
    def told(self) -> tuple[int, int]:
        """How many features, and how many numbers of what the spots around measured, a cell is described by."""
        return self.arrays["scaling/matrix"].shape[1], self.arrays["residuals/axes"].shape[1] + 1

    def attending(self, genes: int, bin_size: float) -> CrossAttentionNet:
        """A network for the features learned from and cells of a size, untrained, that attends to the spots around."""
        from stsr.nn.cross_attention import CrossAttentionNet

        c, pitch = self.config, float(self.arrays["pitch"][0])
        doublings = max(0, round(np.log2(BLOCK / bin_size)))
        return CrossAttentionNet(
            *self.told,
            genes,
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

    def tissue(self, section: Section, device: torch.device, *, training: bool = False) -> Tissue:
        """The section as tensors, as this method scales it and its networks look at it."""
        from stsr.methods.tissue import Tissue

        return Tissue(
            section,
            Scaling.load(self.arrays),
            Typical.load(self.arrays),
            Residuals.load(self.arrays),
            near=self.config.neighbours,
            length=self.config.context_length * float(self.arrays["pitch"][0]),
            view=self.attending(len(section.genes), section.grid.bin_size).view,
            device=device,
            training=training,
        )
