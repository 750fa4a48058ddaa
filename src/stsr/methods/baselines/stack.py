"""Stacking: a weighted sum of other methods, with weights for each gene that best predict held-out counts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import minimize

from stsr.methods.base import METHODS, Method, MethodInfo, Prediction, Predictor, Training, create, register
from stsr.methods.baselines.feature_knn import FeatureKnn
from stsr.methods.baselines.holdout_experiments import holdout_experiments
from stsr.methods.baselines.idw import Idw
from stsr.methods.baselines.kriging import Kriging
from stsr.methods.baselines.ridge import Ridge
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.depth import at_depth, depth_array, rescaled
from stsr.methods.shared.requirements import FEWEST, require_spots, warned
from stsr.methods.shared.spot_sums import disc_sums
from stsr.options import Items, Options, Text, Whole
from stsr.section import Section

logger = logging.getLogger(__name__)

PRIOR_COUNTS = 300.0
"""Strength of the prior of equal weights in UMI counts: members are highly correlated, so few counts cannot separate them."""

TINY = 1e-6
"""Smallest weight while fitting, and smallest expected count of a spot."""

TOLERANCE = 1e-10
"""Of L-BFGS-B: relative change of the loss, and size of the gradient, at which it stops."""


@dataclass(frozen=True)
class StackConfig(Options):
    """Options of the stack.

    Parameters
    ----------
    methods
        Names of at least two other methods that need no image beyond its features, each with its default options.
    folds
        Folds of hidden spots. Every member is fitted once for each fold, to the other spots, then to thinned spots and
        to all spots.
    """

    methods: Annotated[tuple[str, ...], Items(Text(), least=2)] = tuple(
        member.info.name for member in (Idw, Kriging, Ridge, FeatureKnn)
    )
    folds: Annotated[int, Whole(2, 20)] = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        usable = sorted(
            name for name, kind in METHODS.items() if kind is not Stack and kind.info.needs <= Stack.info.needs
        )
        if unusable := [name for name in self.methods if name not in usable]:
            raise ValueError(
                f"methods lists {unusable[0]!r}, which cannot be stacked; choose from {', '.join(usable)}."
            )
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods={list(self.methods)} is not allowed; name each method once.")


@register
class Stack(Method):
    """A weighted sum of other methods, with weights for each gene by which they best predict held-out counts.

    By default its members are two interpolations and two models of image features, so each gene takes from the spots
    around and from the image as much as helps it.

    Formula
    -------
    ::

        λ_g(b) = Σ_m w_gm λ_gm(b),    w ≥ 0
        w_g = argmin Σ_s D(y_sg, Σ_m w_gm μ_gms) + prior

    - λ_gm(b): expected count of gene g in cell b by member m, fitted to all spots
    - y_sg: held-out counts; μ_gms: their prediction by member m, which was fitted without them
    - D: Poisson deviance
    - prior: a gamma prior with its mode at equal weights, as strong as 300 counts

    Source
    ------
    Wolpert's stacked generalisation with non-negative weights, which Breiman found necessary. Ours: weights for each
    gene, a Poisson deviance, and counts that are held out both by hiding spots and by thinning counts. Hiding alone
    would give the image too much weight: a hidden spot is further from other spots than a cell is.

    Use
    ---
    As a strong method without networks, within minutes on a processor. Its weights, in the log, say how much a gene
    follows the image.
    """

    info: ClassVar = MethodInfo(
        name="stack",
        title="Weighted sum of other methods, the weights of a gene chosen by held-out deviance",
        paper="Wolpert, Neural Networks 5; Breiman, Machine Learning 24",
        year=1996,
        references=("wolpert1992", "breiman1996"),
        needs=frozenset({"features", "spots"}),
        fit_spots=25,
        predict_spots=1,
    )
    Config: ClassVar = StackConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Find the ``weights`` (genes, methods), then fit every member to all spots: ``member/{name}/...``."""
        folds = self.config.folds
        require_spots(section, self.info.name, fewest=-(-FEWEST * folds // (folds - 1)))
        with warned():
            weights = blend(*self._predictions(section, seed, training))
            members = self._members(section, seed, training)
        average = np.average(weights, axis=0, weights=section.counts.sum(axis=0) + LEAST)
        logger.info(
            "Ensemble weights of the stack: %s.",
            ", ".join(f"{w:.2f} {m}" for w, m in zip(average, self.config.methods, strict=True)),
        )
        self.arrays = {"weights": weights, "depth": depth_array(section)}
        for member in members:
            self.arrays |= {f"member/{member.info.name}/{key}": array for key, array in member.arrays.items()}
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield "weights", Array((facts.genes, len(self.config.methods)), low=0)
        yield "depth", Array((1,), low=LEAST)
        for name in self.config.methods:
            for key, array in self._fitted(name).expected(facts) or ():
                yield f"member/{name}/{key}", array

    def _members(self, section: Section, seed: int, training: Training) -> list[Method]:
        return [create(name).fit(section, seed=seed, training=training) for name in self.config.methods]

    def _predictions(
        self, section: Section, seed: int, training: Training
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n, genes) held-out counts and (methods, n, genes) predictions of them, times the loss weights."""
        counts, expected = [], []
        for experiment in holdout_experiments(section, self.config.folds, np.random.default_rng(seed)):
            footprint, visible = section.footprint[experiment.spots], experiment.visible
            predictions = [
                expected_counts(member.on(visible, device=training.device), section, footprint)
                for member in self._members(visible, seed, training)
            ]
            # The Poisson deviance is homogeneous, D(a y, a μ) = a D(y, μ): scaling both is weighting the loss.
            counts.append(experiment.weight * experiment.counts)
            expected.append(experiment.weight * np.stack(predictions))
        return np.concatenate(counts), np.concatenate(expected, axis=1)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Bind every member to ``section`` and add up what they predict.

        All see it at the learned depth: members by spots would follow its own, members by image cannot.
        """
        section, back = at_depth(section, self.arrays["depth"])
        predictors = [self._fitted(name).on(section, device=device) for name in self.config.methods]
        weights = self.arrays["weights"].T

        def predict(rows: slice) -> Prediction:
            cells = section.grid.cells(rows)
            mean = np.zeros((cells.stop - cells.start, len(section.genes)), dtype=np.float32)
            for weight, member in zip(weights, predictors, strict=True):
                mean += weight * member(rows).mean
            return Prediction(mean=mean)

        return rescaled(predict, back)

    def _fitted(self, name: str) -> Method:
        """A member with its learned arrays."""
        member, prefix = create(name), f"member/{name}/"
        member.arrays = {key.removeprefix(prefix): a for key, a in self.arrays.items() if key.startswith(prefix)}
        return member


def expected_counts(predict: Predictor, section: Section, footprint: sp.csr_array) -> NDArray[np.float32]:
    """(n, genes) predicted counts of spots, which cover the shares ``footprint`` (n, cells) of the cells."""
    return disc_sums(section, footprint, len(section.genes), lambda rows: predict(rows).mean)


def blend(counts: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float32]:
    """(genes, methods) weights w ≥ 0 that minimise the Poisson deviance of counts from Σ_m w_gm expected_m.

    ``counts`` is (n, genes), ``expected`` (methods, n, genes). A gamma prior with its mode at equal weights 1 / M keeps
    genes with few counts near them. The loss is ``Σ_s (μ_s - y_s ln μ_s) + S Σ_m (w_m - ln(w_m) / M)`` with ``μ = Σ_m w_m
    expected_m`` and ``S = PRIOR_COUNTS``. It is divided by S + Σ_s y_s, so that its tolerance is relative.
    """
    equal = np.full(len(expected), 1 / len(expected))

    def solve(y: NDArray[np.float32], members: NDArray[np.float32]) -> NDArray[np.float64]:
        total = members.sum(axis=1, dtype=np.float64)
        scale = PRIOR_COUNTS + y.sum(dtype=np.float64)

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            mean = np.maximum(weights @ members, TINY)
            value = weights @ total - y @ np.log(mean) + PRIOR_COUNTS * (weights.sum() - equal @ np.log(weights))
            gradient = total - members @ (y / mean) + PRIOR_COUNTS * (1 - equal / weights)
            return value / scale, gradient / scale

        bounds = [(TINY, None)] * len(equal)
        return minimize(loss, equal, jac=True, method="L-BFGS-B", bounds=bounds, tol=TOLERANCE).x

    genes = range(counts.shape[1])
    return np.array([solve(counts[:, g], expected[:, :, g].astype(np.float64)) for g in genes], dtype=np.float32)
