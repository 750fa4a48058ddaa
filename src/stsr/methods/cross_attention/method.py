"""The default: bidirectional cross-attention between histology and spots, trained by hiding spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from stsr.methods.base import Method, MethodInfo, Predictor, Training, register
from stsr.methods.cross_attention.architecture import Architecture
from stsr.methods.cross_attention.config import CrossAttentionConfig
from stsr.methods.cross_attention.expression_scale import Typical
from stsr.methods.cross_attention.residuals import Residuals
from stsr.methods.cross_attention.uncertainty import all_unseen, dispersion, explained
from stsr.methods.expected import Array, Expected, Facts
from stsr.methods.shared.ensembles import load_states, networks, numbered
from stsr.methods.shared.requirements import enough_spots, require_spots
from stsr.methods.shared.standardise import Scaling
from stsr.section import Section

if TYPE_CHECKING:
    import torch

    from stsr.methods.cross_attention.section_tensors import Tissue

LARGEST_PITCH = 10_000.0
"""µm between spots; a model file with a larger pitch is refused."""

MIN_EXPLAINED_DEVIANCE = 0.1
"""Share of the deviance of held-out spots from their mean that image networks must explain from the image alone to be used
near spots. On sections of about a hundred spots noise or another place's H&E came to .07 at most, by chance, and their own
to .2 at least."""


@register
@dataclass
class CrossAttention(Method):
    """The default: an ensemble of networks that predict counts per cell from the image and the spots around.

    Attention networks interpolate between the spots that are near and look alike. Image networks predict from the
    features of a cell, and also where there are no spots. The spots then correct what is predicted, as far as they
    measured more than noise.

    Formula
    -------
    ::

        attention network:  λ_g(b) = Σ_s α_s(b) y_sg / a · exp(u(b) + v_g(b))
        image network:      λ_g(b) = λ̄_g exp(v_g(b))
        trained by:         y_sg ~ NB(Σ_b w_sb λ_g(b), θ_g),  with spot s not among its own inputs
        ensemble:           λ_g(b) = (1 - ω) mean of attention + ω geometric mean of image networks
        prediction:         blur λ by the lateral spread of transcripts, then correct it by the spots

    - λ_g(b): expected count of gene g in cell b; λ̄_g: its mean over the tissue
    - y_sg: count of gene g in spot s; a: cells in the disc of a spot; w_sb: share of cell b under spot s
    - α_s(b): attention weights of the spots around, which fall with their distance
    - u, v: corrections from the image, for all genes together and for each
    - ω: ``image_weight`` near spots, 1 beyond three pitches from any; 0 near spots if the image explains less than a
      tenth of the deviance of held-out spots
    - θ_g: inverse dispersion of the negative binomial

    Architecture
    ------------
    Attention networks:

    - ``pixels`` ← H&E: convolutions, one token for each block of 16 µm
    - ``project``, ``norm`` ← features, ``pixels``: sum of both, a token for each cell
    - ``read``, ``own_norm`` ← features, context vector, ``project``: a perceptron is added for the cells that are
      predicted
    - ``ask_spots`` ← ``read``, spots: cross-attention to the 12 nearest spots, interpolation of their expression
    - ``embed`` ← ``ask_spots``, spots: embedded expression of the spots, averaged by the same attention
    - ``ask_image`` ← ``embed``, ``project``: cross-attention to the tokens of 3 x 3 cells around
    - ``latent`` ← ``read``, ``embed``, ``ask_image``: perceptron, the latent
    - ``depth``, ``total`` ← ``read``, ``embed``, ``ask_image``: correction of all genes together
    - ``correct`` ← ``read``, ``latent``: correction of each gene, through a low rank
    - rates ← ``ask_spots``, ``depth``, ``correct``: interpolation times the exponential of both corrections
    - ``log_theta`` ← rates: negative binomial of the sums over discs, dispersion of each gene

    Image networks:

    - ``read`` ← features, context vector: perceptron of 384 and 384, a latent of 128
    - ``head`` ← ``read``: log ratio of each gene to its mean over the tissue
    - rates ← ``head``: mean times the exponential
    - ``log_theta`` ← rates: negative binomial of the sums over discs, dispersion of each gene

    There are two attention networks and four image networks. The context vector of a cell is a Gaussian mean, over the
    spots around, of what these measured beyond a regression on their own features. In every ninth step the image
    networks are trained without it (context dropout).

    Source
    ------
    Developed here; the design log, ``docs/design/cross_attention.md``, says what was tried. The penalty of attention
    on distance is that of ALiBi (Press and others). For the correction by spots see ``balance`` among the options.

    Use
    ---
    Whenever there is an H&E image, unless minutes matter: in the benchmarks of these pages it is ahead of all other
    methods in most settings. It gives standard deviations and a latent of every cell. With fewer than 200 spots,
    compare it with an interpolation.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="cross_attention",
        title="Bidirectional cross-attention of image tokens and spots, trained by hiding spots",
        paper="stsr",
        year=2026,
        references=("press2022",),
        needs=frozenset({"features", "image"}),
        gives=frozenset({"latent", "sd", "history"}),
        quick={
            "steps": 4,
            "image_steps": 4,
            "dim": 16,
            "heads": 4,
            "stem": 8,
            "dilations": (1,),
            "tile": 3.0,
            "attention_networks": 1,
            "image_networks": 2,
        },
    )
    Config: ClassVar[type] = CrossAttentionConfig

    config: CrossAttentionConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Train on the spots of ``section``, each hidden from its own neighbours."""
        from stsr.methods.cross_attention.training import training_tasks
        from stsr.nn.training.device import pick_device
        from stsr.nn.training.trainer import fork_seed, train

        require_spots(section, self.info.name)
        scaling = Scaling.learn(section, width=self.config.components)
        residuals = Residuals.learn(section, directions=self.config.directions)
        self.arrays = scaling.arrays | Typical.learn(section).arrays | residuals.arrays
        self.arrays["pitch"] = np.array([section.pitch])
        with fork_seed(seed):
            tissue = self.tissue(section, pick_device(training.device), training=True)
            tasks = training_tasks(self.architecture(len(section.genes), section.grid.bin_size), tissue, seed)
            histories = train(tasks, training=training)
        nets = [task.module.net for task in tasks]
        weights, self.history = numbered(list(zip(nets, histories, strict=True)))
        split = self.config.attention_networks
        near, far = (all_unseen(group, tissue.device) for group in (tasks[:split], tasks[split:]))
        # An image that explains next to nothing of held-out spots is not used near spots.
        use_image = explained(tissue.mean[:-1].cpu().numpy() * section.spot_cells, *far) > MIN_EXPLAINED_DEVIANCE
        self.arrays |= weights | {
            "dispersion/spots": dispersion(*near),
            "dispersion/image": dispersion(*far),
            "image_weight": np.array([self.config.image_weight if use_image else 0.0]),
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
        yield "image_weight", Array((1,), low=0, high=1)
        # Their shapes depend on arrays that are checked above.
        yield from networks(
            lambda: self.architecture(facts.genes, facts.bin_size).attention_network(), config.attention_networks
        )
        yield from networks(
            lambda: self.architecture(facts.genes, facts.bin_size).image_network(),
            config.image_networks,
            first=config.attention_networks,
        )

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Show every spot, correct by what they measured, and predict bands of rows.

        Where there are too few spots on tissue to learn from, the image networks predict alone, and are corrected by them.
        """
        from stsr.methods.cross_attention.predictor import BandPredictor
        from stsr.nn.training.device import pick_device

        config = self.config
        enough = enough_spots(section)
        architecture = self.architecture(len(section.genes), section.grid.bin_size)
        attention = [architecture.attention_network() for _ in range(config.attention_networks)]
        image = [architecture.image_network() for _ in range(config.image_networks)]
        load_states([*attention, *image], self.arrays, device)
        return BandPredictor(
            self.tissue(section, pick_device(device)),
            attention if enough else [],
            image,
            image_weight=float(self.arrays["image_weight"][0]),
            pitch=architecture.pitch,
            diffusion=config.diffusion,
            balance=config.balance,
            dispersion=self.arrays["dispersion/spots" if enough else "dispersion/image"],
        )

    def architecture(self, genes: int, bin_size: float) -> Architecture:
        """The networks for the features learned from, some genes and cells of a size."""
        features, context = self.arrays["scaling/matrix"].shape[1], self.arrays["residuals/axes"].shape[1] + 1
        return Architecture(self.config, features, context, genes, float(self.arrays["pitch"][0]), bin_size)

    def tissue(self, section: Section, device: torch.device, *, training: bool = False) -> Tissue:
        """The section as tensors, as this method scales it and its networks look at it."""
        from stsr.methods.cross_attention.section_tensors import Tissue

        architecture = self.architecture(len(section.genes), section.grid.bin_size)
        return Tissue(
            section,
            Scaling.load(self.arrays),
            Typical.load(self.arrays),
            Residuals.load(self.arrays),
            near=self.config.neighbours,
            length=self.config.context_length * architecture.pitch,
            view=architecture.view,
            device=device,
            training=training,
        )
