"""Settings of the default method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from stsr.methods.cross_attention.correction import BALANCES
from stsr.options import Choice, Items, Number, Options, Whole

IMAGE_HEADS = 4
"""Heads of the attention from expression to image tokens, of :class:`stsr.nn.networks.cross_attention.CrossAttentionNet`."""

WIDTHS = Items(Whole(1, 2048), most=4)


@dataclass(frozen=True)
class CrossAttentionConfig(Options):
    """Settings of ``cross_attention``.

    Parameters
    ----------
    neighbours
        Nearest spots that a cell attends to.
    dim, heads, width, rank
        Token width; attention heads and their width; rank of the image's correction.
    read
        Widths of the layers that read the features of a cell.
    stem, dilations
        Width of the first convolution; dilations of those on blocks of cells.
    lengths
        Shortest and longest initial attention length, in pitches of the spots.
    reach
        Distance in cells between the 3 x 3 tokens around a cell that its expression attends to.
    components
        Wider features are brought down to this many principal components.
    steps, passes, patience
        Training steps of an attention network and passes over the section at most; passes without a lower held-out loss
        after which it, or an image network of few spots, stops.
    learning_rate, weight_decay
        Of AdamW; the rate rises linearly, then stays, and weights are averaged.
    library_weight
        Weight of the library size beside the mean over genes in the loss.
    held_out
        Share of the spots held out to measure a network's error; of many spots, by all networks of a kind together.
    tile
        Side of the squares of tissue a step is made of, in pitches of the spots.
    attention_networks, image_networks
        Ensemble members, each with held-out spots of its own: those that attend to the spots, and those that predict from
        the features of a cell and its context vector (:class:`~stsr.methods.cross_attention.residuals.Residuals`). The
        latter also predict tissue that has no spots.
    image_widths, image_rank
        Widths of the image networks' hidden layers and of their latent.
    image_batch, image_steps, image_passes, image_learning_rate
        Spots a step, training steps and passes over the spots at most, and learning rate, of the image networks.
    image_weight
        Ensemble weight of the image networks where there are spots; 0 if from the image alone they explain next to nothing
        of held-out spots.
    directions, context_length
        Length of the context vector, in principal directions of expression, and standard deviation of the Gaussian by which
        it averages spots, in pitches of the spots.
    diffusion
        Standard deviation in µm of the lateral spread of transcripts before they are captured: predictions are blurred
        by it, as measurements are.
    balance
        How spots correct what is predicted: ``"signal"``, by what they measured as far as it is more than noise, and with
        no larger steps at their edges than elsewhere (:class:`~stsr.methods.cross_attention.correction.SignalCorrection`); ``"exact"``, so
        that the cells under a spot add up to what it measured, noise and all
        (:class:`~stsr.methods.cross_attention.exact_balance.ExactBalance`); or ``"none"``.
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
    attention_networks: Annotated[int, Whole(1, 32)] = 2
    image_networks: Annotated[int, Whole(1, 32)] = 4
    image_widths: Annotated[tuple[int, ...], WIDTHS] = (384, 384)
    image_rank: Annotated[int, Whole(1, 1024)] = 128
    image_batch: Annotated[int, Whole(1, 65_536)] = 32
    image_steps: Annotated[int, Whole(1, 1_000_000)] = 1800
    image_passes: Annotated[int, Whole(1, 100_000)] = 20
    image_learning_rate: Annotated[float, Number(1e-8, 0.1)] = 4e-3
    image_weight: Annotated[float, Number(0, 1)] = 0.6
    directions: Annotated[int, Whole(1, 256)] = 20
    context_length: Annotated[float, Number(0.01, 100)] = 0.6
    diffusion: Annotated[float, Number(0, 50)] = 8.0
    balance: Annotated[str, Choice(BALANCES)] = "signal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % IMAGE_HEADS:
            raise ValueError(
                f"dim={self.dim} is not allowed; pass a multiple of {IMAGE_HEADS}, the heads of the attention from expression to image."
            )
        if self.lengths[0] > self.lengths[1]:
            raise ValueError(f"lengths={self.lengths} is not allowed; pass the shortest first.")
