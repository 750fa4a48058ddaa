"""The default method, small enough to be trained in a test."""

from __future__ import annotations

import numpy as np

from stsr.methods import Training, create
from stsr.methods.cross_attention.expression_scale import Typical
from stsr.methods.cross_attention.residuals import Residuals
from stsr.methods.shared.standardise import Scaling
from stsr.metrics import coverage
from stsr.metrics.intervals import sums_with_sd

QUIET = Training(device="cpu", progress=False)
SMALL = {
    "steps": 200,
    "dim": 24,
    "heads": 4,
    "stem": 8,
    "dilations": (1, 2),
    "tile": 1.6,
    "patience": 100,
    "learning_rate": 1e-2,
    "image_learning_rate": 1e-2,
    "image_batch": 8,
    "diffusion": 4.0,
    "attention_networks": 2,
    "image_networks": 1,
    "read": (64,),
    "image_widths": (64,),
    "image_rank": 16,
}


def fitted_toy(toy):
    """The method, fitted to a toy."""
    return create("cross_attention", SMALL).fit(toy.section, seed=0, training=QUIET)


def whole(method, section):
    """What a method predicts of a section at once."""
    return method.on(section, device="cpu")(slice(None))


def prepared(toy, **options):
    """A method that knows the section's scales, and the section as it learns from it."""
    import torch

    method = create("cross_attention", {**SMALL, **options})
    method.arrays = Scaling.learn(toy.section, width=64).arrays | Typical.learn(toy.section).arrays
    method.arrays |= Residuals.learn(toy.section, directions=3).arrays | {"pitch": np.array([100.0])}
    return method, method.tissue(toy.section, torch.device("cpu"), training=True)


def spot_coverage(section, prediction, spots, *, level):
    """Share of the counts of some spots within their intervals, the rates of a spot's cells being wrong together."""
    mean, sd = sums_with_sd(section.footprint[spots], prediction.mean, prediction.sd)
    return coverage(section.counts.toarray()[spots], mean, sd, level=level).mean()
