"""A small section made of plain arrays whose true expression is known, for every test that needs a Section."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from stsr.geometry import Disc, Grid
from stsr.identity import Identity
from stsr.imaging.raster import Raster
from stsr.section import Section

MPP = 2.0


@dataclass(frozen=True)
class Toy:
    """A section and what it was drawn from.

    Parameters
    ----------
    section
        Spots, counts, grid, features and image.
    truth
        (cells, genes) expected UMI counts per cell.
    """

    section: Section
    truth: NDArray[np.float32]


def trend(xy: ArrayLike) -> NDArray[np.float64]:
    """Slow field in [-1, 1] at points (..., 2) in µm: what interpolation can find."""
    x, y = np.moveaxis(np.asarray(xy, dtype=float), -1, 0)
    return np.sin(x / 140) * np.cos(y / 170)


def structure(xy: ArrayLike) -> NDArray[np.float64]:
    """Fine field in [-1, 1] at points (..., 2) in µm: what only the image shows."""
    x, y = np.moveaxis(np.asarray(xy, dtype=float), -1, 0)
    return np.sin(x / 9 + np.sin(y / 40)) * np.cos(y / 11)


def hex_lattice(width: float, height: float, pitch: float) -> NDArray[np.float64]:
    """(spots, 2) centres in µm of a hexagonal lattice inside ``width x height``."""
    rows = np.arange(pitch / 2, height, pitch * np.sqrt(3) / 2)
    return np.array([(x, y) for i, y in enumerate(rows) for x in np.arange(pitch * (1 + i % 2) / 2, width, pitch)])


def toy_image(width: float, height: float) -> Raster:
    """H&E-like picture of :func:`structure`, 2 µm per pixel: pink where it is low, purple where it is high."""
    rows, cols = np.mgrid[0 : int(height / MPP), 0 : int(width / MPP)] + 0.5
    dark = (structure(np.stack([cols, rows], axis=-1) * MPP) + 1) / 2
    pink, purple = np.array([235, 180, 205.0]), np.array([110, 70, 150.0])
    rgb = pink[:, None, None] * (1 - dark) + purple[:, None, None] * dark
    return Raster(((np.rint(rgb).astype(np.uint8), np.diag([MPP, MPP, 1.0])),))


def toy_section(
    *,
    shape: tuple[int, int] = (48, 54),
    n_genes: int = 6,
    bin_size: float = 8.0,
    pitch: float = 62.0,
    diameter: float = 55.0,
    angle: float = 0.08,
    depth: float = 60.0,
    noise: bool = True,
    seed: int = 0,
) -> Toy:
    """Draw a section: expression = depth x exp(trend + structure), counts summed over the cells of each disc.

    Parameters
    ----------
    shape
        Rows and columns of the grid; its corner with the highest row and column numbers is cut off as bare glass.
    n_genes
        Genes go from following the trend alone to following the structure alone.
    angle
        Rotation of the grid against the image, radians.
    depth
        Mean UMI counts of a gene in a spot.
    noise
        Poisson counts; otherwise rounded expectations.
    """
    rng = np.random.default_rng(seed)
    rows, cols = shape
    mask = np.add.outer(np.arange(rows), np.arange(cols)) < 0.8 * (rows + cols)
    cos, sin = np.cos(angle) * bin_size, np.sin(angle) * bin_size
    affine = np.array([[cos, -sin, rows * sin + 10], [sin, cos, 10], [0, 0, 1]])
    grid = Grid(affine, mask)

    image = np.linspace(0, 1.2, n_genes)
    slow = np.linspace(1.0, 0.2, n_genes) * rng.choice([-1, 1], n_genes)
    cells_per_disc = np.pi * diameter**2 / 4 / bin_size**2
    signal = np.exp(np.outer(trend(grid.xy), slow) + np.outer(structure(grid.xy), image))
    truth = signal / signal.mean(axis=0) * depth / cells_per_disc

    width, height = grid.to_um([[cols, 0], [cols, rows], [0, rows]]).max(axis=0) + 10
    spots = hex_lattice(width, height, pitch)
    section = Section(
        genes=tuple(f"G{i}" for i in range(n_genes)),
        spots=spots,
        aperture=Disc(diameter),
        counts=sp.csr_array((len(spots), n_genes), dtype=np.float32),
        library=np.ones(len(spots)),
        grid=grid,
        features=_features(grid, rng),
        image=toy_image(width, height),
    )
    covered = np.asarray(section.footprint.sum(axis=1)).ravel() > 0.7 * cells_per_disc
    section = section.subset(covered)
    expected = section.footprint @ truth
    counts = rng.poisson(expected) if noise else np.rint(expected)
    section = replace(section, counts=sp.csr_array(counts.astype(np.float32)), library=counts.sum(axis=1) * 10.0)
    return Toy(section, truth.astype(np.float32))


def toy_encoder(section: Section) -> Identity:
    """What made the features of a toy section."""
    return Identity("texture", "none", None, section.n_features, 1)


def _features(grid: Grid, rng: np.random.Generator) -> NDArray[np.float16]:
    """(5, rows, cols) raster: the structure, two functions of it, its neighbourhood's trend and pure noise."""
    rows, cols = np.mgrid[0 : grid.shape[0], 0 : grid.shape[1]] + 0.5
    xy = grid.to_um(np.stack([cols, rows], axis=-1))
    fine = structure(xy)
    noise = rng.normal(size=grid.shape)
    return np.stack([fine, fine**2, np.exp(fine), 10 + 3 * trend(xy) + 0.3 * noise, noise]).astype(np.float16)
