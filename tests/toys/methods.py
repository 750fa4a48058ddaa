"""Every registered method, fitted quickly to one toy section that all tests share."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from toys.section import toy_section

from stsr.methods import METHODS, Method, Prediction, Training, create
from stsr.section import Section

QUIET = Training(device="cpu", progress=False)


@cache
def own_section() -> Section:
    """48 spots and 6 genes on cells of 16 µm."""
    return toy_section(shape=(26, 28), bin_size=16.0).section


@cache
def other_section() -> Section:
    """Another section, of 28 spots."""
    return toy_section(shape=(20, 22), bin_size=16.0, seed=5).section


def quick(name: str, section: Section, *, seed: int = 3, **options: Any) -> Method:
    """A method fitted with its own quick options."""
    return create(name, {**METHODS[name].info.quick, **options}).fit(section, seed=seed, training=QUIET)


@cache
def fitted(name: str) -> Method:
    """A method fitted to :func:`own_section`; tests only look at it."""
    return quick(name, own_section())


def predict(method: Method, section: Section, rows: slice = slice(None)) -> Prediction:
    """What it predicts for some rows of the grid of a section."""
    return method.on(section, device="cpu")(rows)


def assert_counts(prediction: Prediction, section: Section) -> None:
    """Finite, non-negative float32 for each cell and gene, and outputs of as many cells beside."""
    assert prediction.mean.shape == (section.grid.n_cells, len(section.genes))
    assert prediction.mean.dtype == np.float32
    assert np.isfinite(prediction.mean).all()
    assert prediction.mean.min() >= 0
    if prediction.sd is not None:
        assert prediction.sd.shape == prediction.mean.shape
        assert prediction.sd.dtype == np.float32
        assert np.isfinite(prediction.sd).all()
        assert prediction.sd.min() >= 0
    if prediction.latent is not None:
        assert len(prediction.latent) == section.grid.n_cells
        assert prediction.latent.dtype == np.float32
        assert np.isfinite(prediction.latent).all()
