"""Kriging: a Gaussian process over the section, the same for all genes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import product
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.methods.base import Method, MethodInfo, Prediction, Predictor, Training, register
from stsr.methods.expected import LEAST, Array, Expected, Facts
from stsr.methods.shared.neighbours import nearest_spots, with_nearest
from stsr.methods.shared.requirements import require_spots
from stsr.methods.shared.spot_weights import Weights, sparse_weights
from stsr.methods.shared.targets import gene_factor, shares
from stsr.options import Number, Options, Whole
from stsr.section import Section

logger = logging.getLogger(__name__)

LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
"""Correlation lengths among which leave-one-out chooses, in distances between neighbouring spots."""

NUGGETS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Nuggets among which leave-one-out chooses."""

HIDDEN = 2000
"""Largest number of spots that leave-one-out hides to choose the kernel."""

LEAST_NOISE = 1e-9
"""Smallest noise variance of a spot, as a share of the variance of the field: without noise, two spots in one place make
the system of equations singular."""

POINTS = 4096
"""Points computed at a time: 36 MB of inverses for 32 neighbours."""


@dataclass(frozen=True)
class KrigingConfig(Options):
    """Options of kriging.

    Parameters
    ----------
    neighbours
        Spots that are used: those nearest to the spot that is nearest to the cell.
    length
        ℓ of the kernel in µm; None chooses it by leave-one-out.
    nugget
        ν, the variance of a spot's noise over that of its expression, at the mean library size; 0 gives back every spot
        in its centre. None chooses it by leave-one-out.
    """

    neighbours: Annotated[int, Whole(2, 128)] = 32
    length: Annotated[float | None, Number(0.1, 1e5, optional=True)] = None
    nugget: Annotated[float | None, Number(0, 1e6, optional=True)] = None


@register
class Kriging(Method):
    """Library size per cell and each gene's share of it are interpolated by ordinary kriging, a Gaussian process.

    Weights follow from a covariance that is fitted to the section, and spots with few UMIs count less. All genes have
    the same covariance and so the same weights.

    Formula
    -------
    ::

        λ_g(b) = m_g L̂(b) p̂_g(b)
        p̂_g(b) = Σ_s w_s(b) y_sg / L_s,    Σ_s w_s(b) = 1
        [K + N, 1; 1ᵀ, 0] [w; μ] = [k(b); 1]

    - λ_g(b): expected count of gene g in cell b
    - L̂(b): library size per cell, kriged from the library sizes L_s of the spots with the nugget ν
    - p̂_g(b): share of gene g in the library, kriged from the shares of the spots
    - K, k(b): Matérn covariance of smoothness 3/2 and range ℓ, between spots and from the spots to b
    - N: diagonal, ν L̄ / L_s, the variance of a share as for Poisson counts; L̄ is the mean library size
    - m_g: makes the rates in the centres of the spots, times the cells of a disc, add up to the measured counts

    Source
    ------
    Ordinary kriging as Matheron described it. Dubrule's formula leaves out single spots without solving the system
    again; by it ℓ and ν are chosen, those that best predict the shares of left-out spots. Ours: library size and
    shares are kriged apart, because library sizes also differ between spots for technical reasons that do not affect
    shares.

    Distances are between centres, although a spot measures the mean over its disc: the covariance is that of such
    means, which are smooth. Structure finer than a spot counts as nugget.

    Use
    ---
    As an interpolation that knows the noise of counts: it smooths where they are few. It needs no image.
    """

    info: ClassVar = MethodInfo(
        name="kriging",
        title="Ordinary kriging of library size and of shares (Gaussian process)",
        paper="Matheron, Economic Geology 58",
        year=1963,
        references=("matheron1963", "dubrule1983"),
        needs=frozenset({"spots"}),
        predict_spots=1,
    )
    Config: ClassVar = KrigingConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Choose the kernel; ``arrays`` holds its ``length`` in µm and ``nugget``."""
        require_spots(section, self.info.name)
        length, nugget = choose_kernel(section, self.config, np.random.default_rng(seed))
        logger.info("Kriging with a length of %.0f µm and a nugget of %g.", length, nugget)
        self.arrays = {"length": np.array([length]), "nugget": np.array([nugget])}
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield "length", Array((1,), low=LEAST)
        yield "nugget", Array((1,), low=0)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Krige the spots of ``section``."""
        length, nugget = float(self.arrays["length"][0]), float(self.arrays["nugget"][0])
        near = Neighbourhoods(section.spots, self.config.neighbours)
        share, noise = shares(section), relative_noise(section)
        weigh_share = near.weights(length, nugget * noise)
        weigh_library = near.weights(length, np.full(len(noise), nugget))
        library = (section.library / section.spot_cells).astype(np.float32)[:, None]

        def rates(xy: NDArray[np.float64]) -> NDArray[np.float32]:
            return np.maximum(weigh_library(xy) @ library, 0) * np.maximum(weigh_share(xy) @ share, 0)

        expected = section.spot_cells * rates(section.spots)
        factor = gene_factor(section.counts.sum(axis=0), expected.sum(axis=0)).astype(np.float32)

        def predict(rows: slice) -> Prediction:
            return Prediction(mean=rates(section.grid.xy[section.grid.cells(rows)]) * factor)

        return predict


def relative_noise(section: Section) -> NDArray[np.float64]:
    """(spots,) noise variance of the shares of a spot, 1 at the mean library size."""
    library = np.maximum(section.library, 1)
    return library.mean() / library


def choose_kernel(section: Section, config: KrigingConfig, rng: np.random.Generator) -> tuple[float, float]:
    """Length in µm and nugget with the least squared leave-one-out error of shares, genes scaled to unit variance."""
    near = Neighbourhoods(section.spots, config.neighbours)
    share, noise = shares(section), relative_noise(section)
    spread = share.std(axis=0)
    share /= np.where(spread > 0, spread, 1)
    hidden = rng.permutation(len(share))[:HIDDEN]
    pitch = max(section.pitch, section.aperture.reach)  # the pitch is 0 if all spots are in one place
    lengths = pitch * np.array(LENGTHS) if config.length is None else (config.length,)
    nuggets = NUGGETS if config.nugget is None else (config.nugget,)

    def error(kernel: tuple[float, float]) -> float:
        weights = near.hidden_weights(hidden, kernel[0], kernel[1] * noise)
        return float(np.mean((weights @ share - share[hidden]) ** 2))

    return min(product(lengths, nuggets), key=error)


class Neighbourhoods:
    """Ordinary kriging of a point from the neighbourhood of the spot nearest to it.

    Points with the same nearest spot share a system of equations, so there are at most as many systems as spots.

    Parameters
    ----------
    spots
        (spots, 2) centres in µm.
    neighbours
        Spots in a neighbourhood, its central one included.
    """

    def __init__(self, spots: NDArray[np.float64], neighbours: int) -> None:
        self.spots, self.tree = spots, cKDTree(spots)
        self.near = with_nearest(self.tree, neighbours - 1)

    def inverses(self, middle: NDArray[np.int64], length: float, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """(middles, k + 1, k + 1) inverses of [[K + N, 1], [1ᵀ, 0]], the system of ordinary kriging.

        K and N are covariance and noise of the k spots; the last row makes weights sum to 1. ``middle`` lists central spots.
        """
        near = self.near[middle]
        k = near.shape[1]
        place = self.spots[near]
        system = np.ones((len(near), k + 1, k + 1))
        system[:, :k, :k] = matern(np.linalg.norm(place[:, :, None] - place[:, None], axis=-1), length)
        system[:, range(k), range(k)] += np.maximum(noise[near], LEAST_NOISE)
        system[:, k, k] = 0
        return np.linalg.inv(system)

    def weights(self, length: float, noise: NDArray[np.float64]) -> Weights:
        """Kriging weights; the noise of spots has the variance ``noise`` (spots,) times that of the field."""

        def weigh(xy):
            nearest = nearest_spots(self.tree, xy, 1)[1][:, 0]
            columns = self.near[nearest]
            values = np.empty(columns.shape)
            for first in range(0, len(xy), POINTS):
                part = slice(first, first + POINTS)
                middle, which = np.unique(nearest[part], return_inverse=True)
                distance = np.linalg.norm(self.spots[columns[part]] - xy[part, None], axis=-1)
                target = np.concatenate([matern(distance, length), np.ones((len(distance), 1))], axis=1)
                solution = self.inverses(middle, length, noise)[which] @ target[:, :, None]
                values[part] = solution[:, :-1, 0]
            return sparse_weights(columns, values, len(self.spots))

        return weigh

    def hidden_weights(self, hidden: NDArray[np.int64], length: float, noise: NDArray[np.float64]) -> sp.csr_array:
        """(hidden, spots) leave-one-out weights of the others in each spot's neighbourhood, from one inverse.

        With B the inverse of the whole system and spot 0 left out, spot i has the weight -B_0i / B_00 (Dubrule 1983,
        Mathematical Geology 15).
        """
        first = self.inverses(hidden, length, noise)[:, 0, :-1]
        return sparse_weights(self.near[hidden][:, 1:], -first[:, 1:] / first[:, :1], len(self.spots))


def matern(distance: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Matérn correlation of smoothness 3/2: ``(1 + √3 d / ℓ) exp(-√3 d / ℓ)``, both in µm (Rasmussen & Williams 2006, 4.17)."""
    scaled = np.sqrt(3) * distance / length
    return (1 + scaled) * np.exp(-scaled)
