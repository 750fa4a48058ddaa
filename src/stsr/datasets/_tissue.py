"""Synthetic tissue: structures on a fine raster, and the cells that lie in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

GLASS, LUMEN, STROMA, TUFT, PROXIMAL, DISTAL, DUCT, INFILTRATE, FAT, COLLAGEN, NEUROPIL, NECROSIS = range(12)
"""What a point of the section can be."""

TISSUES = ("kidney", "crop", "cores", "fat", "stroma", "brain", "necrosis")
"""Sections that can be made: kidney on glass; kidney that fills the image; kidney in round cores, as on a tissue microarray;
and, in the kidney's place, what is hard to tell from glass."""

RECODED = {
    "fat": {LUMEN: FAT, TUFT: STROMA, PROXIMAL: FAT, DISTAL: FAT, DUCT: FAT},
    "stroma": dict.fromkeys((LUMEN, STROMA, TUFT, PROXIMAL, DISTAL, DUCT), COLLAGEN),
    "brain": dict.fromkeys((LUMEN, STROMA, TUFT, PROXIMAL, DISTAL, DUCT, INFILTRATE), NEUROPIL),
}
"""What the structures of the kidney become: cells of fat between thin septa, smooth pale collagen, smooth paler neuropil."""

CORE_RADIUS, CORE_PITCH = 230.0, 560.0
"""Of the round cores, µm."""

CELL_TYPES = (
    "podocyte",
    "endothelium",
    "proximal_a",
    "proximal_b",
    "distal",
    "duct",
    "fibroblast",
    "immune",
)
PODOCYTE, ENDOTHELIUM, PROXIMAL_A, PROXIMAL_B, DISTAL_CELL, DUCT_CELL, FIBROBLAST, IMMUNE = range(8)

MARGIN = 55.0
"""Bare glass around the tissue, µm."""

GLOMERULUS_PITCH, TUBULE_PITCH = 360.0, 54.0
"""Distance between neighbouring glomeruli and between neighbouring tubules, µm."""

MAX_DENSITY = 12_000.0
"""Cells per mm² of the densest packing that can be drawn."""

DENSITY = np.array([0, 0, 2_600, 8_500, 2_600, 4_200, 5_000, 11_500, 0, 500, 900, 60], dtype=float)
"""Cells per mm² in each structure."""

WALL = np.array([0, 0, 0, 0, 19.0, 11.0, 12.0, 0, 0, 0, 0, 0])
"""Thickness of each structure's wall round its lumen, µm."""

REACH = 14.0
"""A cell owns the tissue nearest to it, this far at most, µm."""

MIX = np.zeros((12, 8))
"""Share of each cell type (columns) in each structure (rows)."""
MIX[STROMA, [FIBROBLAST, ENDOTHELIUM, IMMUNE]] = 0.70, 0.20, 0.10
MIX[TUFT, [PODOCYTE, ENDOTHELIUM]] = 0.55, 0.45
MIX[PROXIMAL, PROXIMAL_A] = 1
MIX[DISTAL, DISTAL_CELL] = 1
MIX[DUCT, DUCT_CELL] = 1
MIX[INFILTRATE, [IMMUNE, FIBROBLAST]] = 0.92, 0.08
MIX[COLLAGEN, [FIBROBLAST, ENDOTHELIUM]] = 0.85, 0.15
MIX[NEUROPIL, [PROXIMAL_B, ENDOTHELIUM, FIBROBLAST]] = 0.6, 0.2, 0.2
MIX[NECROSIS, IMMUNE] = 1


@dataclass(frozen=True, eq=False)
class Tissue:
    """A synthetic section before anything is measured.

    Parameters
    ----------
    pixel
        Side of a pixel of the fine raster in µm; rasters start at the section's corner.
    structure
        (rows, cols) what each fine pixel is, one of the codes above.
    owner
        (rows, cols) the cell that fills each fine pixel, -1 where there is none.
    cells
        (cells, 2) centres in µm (x, y).
    kind
        (cells,) index into :data:`CELL_TYPES`.
    """

    pixel: float
    structure: NDArray[np.uint8]
    owner: NDArray[np.int32]
    cells: NDArray[np.float64]
    kind: NDArray[np.int64]


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], pixel: float, scale: float) -> NDArray[np.float32]:
    """(rows, cols) smooth Gaussian noise of mean 0 and sd 1 that varies over ``scale`` µm.

    It is blurred from random knots half a ``scale`` apart, so the same seed gives the same field on any raster of the
    same extent.
    """
    blurs = []
    for n in shape:
        at = (np.arange(n) + 0.5) * pixel / (scale / 2)
        knots = np.arange(-2, np.ceil(round(n * pixel / (scale / 2), 6)) + 3)
        weight = np.exp(-0.5 * (at[:, None] - knots) ** 2)
        blurs.append((weight / np.linalg.norm(weight, axis=1, keepdims=True)).astype(np.float32))
    coarse = rng.standard_normal((blurs[0].shape[1], blurs[1].shape[1]), dtype=np.float32)
    return blurs[0] @ coarse @ blurs[1].T


def make_tissue(
    size: tuple[float, float], pixel: float, seed: np.random.SeedSequence, tissue: str = "kidney"
) -> Tissue:
    """Grow a section of ``size`` (width, height) µm on a raster of ``pixel`` µm: one of :data:`TISSUES`."""
    layout, packing = (np.random.default_rng(s) for s in seed.spawn(2))
    structure, border = _structures(layout, size, pixel, tissue)
    cells, kind, owner = _cells(packing, size, pixel, structure, border)
    return Tissue(pixel, structure, owner, cells, kind)


def _structures(
    rng: np.random.Generator, size: tuple[float, float], pixel: float, tissue: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(rows, cols) structure codes, and the distance of each fine pixel to the edge of its tubule in µm."""
    shape = (round(size[1] / pixel), round(size[0] / pixel))
    y, x = (np.arange(n, dtype=np.float32) * pixel + pixel / 2 for n in shape)
    x, y = x[None, :], y[:, None]
    wobble = smooth_field(rng, shape, pixel, 14.0)
    bend = smooth_field(rng, shape, pixel, 220.0)
    bulge = smooth_field(rng, shape, pixel, 45.0)

    below_cortex = y - 0.62 * size[1] - 45 * bend
    medulla = below_cortex > 0
    structure, border = _tubules(rng, size, pixel, shape, medulla, wobble)

    artery = np.abs(below_cortex) < 11 + 7 * smooth_field(rng, shape, pixel, 300.0)
    structure[artery] = STROMA

    focus = smooth_field(rng, shape, pixel, 200.0) + 0.15 * wobble
    structure[focus > np.quantile(focus, 0.965)] = INFILTRATE

    centres, radii = _glomeruli(rng, size)
    for centre, radius in zip(centres, radii, strict=True):
        box = _box(centre, radius + 30, pixel, shape)
        distance = np.hypot(x[:, box[1]] - centre[0], y[box[0]] - centre[1]) + 4 * bulge[box]
        for reach, code in ((14, STROMA), (8, LUMEN), (0, TUFT)):
            structure[box][(distance < radius + reach) & ~medulla[box]] = code

    rough = 14 * smooth_field(rng, shape, pixel, 170.0) + wobble
    if tissue == "necrosis":
        structure[smooth_field(rng, shape, pixel, 350.0) > -0.3] = NECROSIS
    recoded = RECODED.get(tissue, {})
    structure = np.array([recoded.get(code, code) for code in range(len(DENSITY))], dtype=np.uint8)[structure]
    if tissue == "crop":
        return structure, border
    outline = (_cores(x, y) if tissue == "cores" else _inset(x, y, size)) + rough
    if tissue in ("kidney", "cores"):
        structure[(outline < 14) & (structure != TUFT)] = STROMA
    structure[outline < 0] = GLASS
    return structure, border


def _cores(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, cols) distance in µm into the nearest of round cores on a square lattice; negative outside."""
    away = [(line - CORE_PITCH / 2) % CORE_PITCH for line in (x, y)]
    return CORE_RADIUS - np.hypot(*(np.minimum(line, CORE_PITCH - line) for line in away))


def _inset(x: NDArray[np.float32], y: NDArray[np.float32], size: tuple[float, float]) -> NDArray[np.float32]:
    """(rows, cols) distance in µm into a rectangle with round corners, ``MARGIN`` inside the section; negative outside."""
    round_off = 0.28 * min(size)
    over_x = np.abs(x - size[0] / 2) - (size[0] / 2 - MARGIN - round_off)
    over_y = np.abs(y - size[1] / 2) - (size[1] / 2 - MARGIN - round_off)
    outside = np.hypot(np.maximum(over_x, 0), np.maximum(over_y, 0))
    return round_off - outside - np.minimum(np.maximum(over_x, over_y), 0)


def _tubules(
    rng: np.random.Generator,
    size: tuple[float, float],
    pixel: float,
    shape: tuple[int, int],
    medulla: NDArray[np.bool_],
    wobble: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Packed tubules with their lumens, round in the cortex and cut lengthwise in the medulla."""
    n_rows, n_cols = (int(np.ceil(s / TUBULE_PITCH)) + 2 for s in size[::-1])
    row, col = (a.ravel() for a in np.mgrid[0:n_rows, 0:n_cols])
    jitter = rng.uniform(-0.27, 0.27, size=(row.size, 2))
    xy = (np.column_stack([col + 0.5 * (row % 2), row]) + jitter - 0.75) * TUBULE_PITCH
    merge, draw = rng.random((2, row.size))

    at = np.clip((xy / pixel).astype(int), 0, np.array(shape)[::-1] - 1)
    deep = medulla[at[:, 1], at[:, 0]]
    length = np.where(deep, 4, 1 + (merge < 0.35))
    tubule = np.unique(np.column_stack([deep, col, (row + 2 * col) // length]), axis=0, return_inverse=True)[1].ravel()

    inside = ((xy >= 0) & (xy < size)).all(axis=1)
    free = np.ones(shape, dtype=bool)
    seed = np.zeros(shape, dtype=np.int32)
    free[at[inside, 1], at[inside, 0]] = False
    seed[at[inside, 1], at[inside, 0]] = tubule[inside]
    nearest = ndimage.distance_transform_edt(free, return_distances=False, return_indices=True)
    which = seed[tuple(nearest)]

    wall = np.zeros(shape, dtype=bool)
    wall[:, 1:] |= which[:, 1:] != which[:, :-1]
    wall[1:] |= which[1:] != which[:-1]
    border = (ndimage.distance_transform_edt(~wall) * pixel + 2.2 * wobble).astype(np.float32)

    n = int(tubule.max()) + 1
    draw, long = draw[:n], np.zeros(n, dtype=bool)
    long[tubule] = deep
    cortical = np.select([draw < 0.66, draw < 0.95], [PROXIMAL, DISTAL], DUCT)
    code = np.where(long, np.where(draw < 0.42, DISTAL, DUCT), cortical).astype(np.uint8)
    gap = np.where(long, 6.0, 3.5)
    thickness = WALL[code] + gap + rng.uniform(-1.5, 2.0, n)

    structure = np.where(border < gap[which], STROMA, code[which]).astype(np.uint8)
    structure[border > thickness[which]] = LUMEN
    return structure, border - gap[which].astype(np.float32)


def _glomeruli(rng: np.random.Generator, size: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 2) centres and (n,) radii in µm of the round bodies, on a jittered lattice over the whole section."""
    n_cols, n_rows = (max(1, round((s - 2 * MARGIN) / GLOMERULUS_PITCH)) for s in size)
    row, col = (a.ravel() for a in np.mgrid[0:n_rows, 0:n_cols])
    unit = np.column_stack([(col + 0.5 + 0.25 * (row % 2 * 2 - 1) * (n_cols > 1)) / n_cols, (row + 0.5) / n_rows])
    centres = MARGIN + unit * (np.asarray(size) - 2 * MARGIN) + rng.uniform(-45, 45, size=(row.size, 2))
    return centres, rng.uniform(58, 88, size=row.size)


def _box(centre: NDArray[np.float64], reach: float, pixel: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the raster within ``reach`` µm of a point."""
    low = np.clip(((centre - reach) / pixel).astype(int), 0, None)
    high = np.clip(np.ceil((centre + reach) / pixel).astype(int), 0, np.array(shape)[::-1])
    return slice(low[1], high[1]), slice(low[0], high[0])


def _cells(
    rng: np.random.Generator,
    size: tuple[float, float],
    pixel: float,
    structure: NDArray[np.uint8],
    border: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int32]]:
    """Scatter cells, (cells, 2) in µm, and their types; give every cell the tissue nearest to it.

    Candidates lie on a jittered lattice and are thinned to the density of their structure; in tubules they stand near
    the outer wall, as nuclei do.
    """
    pitch = 1000 / np.sqrt(MAX_DENSITY)
    n_rows, n_cols = (int(np.ceil(s / pitch)) for s in size[::-1])
    row, col = (a.ravel() for a in np.mgrid[0:n_rows, 0:n_cols])
    xy = (np.column_stack([col, row]) + 0.5 + rng.uniform(-0.38, 0.38, size=(row.size, 2))) * pitch
    keep, mix = rng.random(row.size), rng.random(row.size)
    zone = smooth_field(rng, structure.shape, pixel, 420.0) > 0

    at = np.clip((xy / pixel).astype(int), 0, np.array(structure.shape)[::-1] - 1)
    here, depth = structure[at[:, 1], at[:, 0]], border[at[:, 1], at[:, 0]]
    tubular = np.isin(here, (PROXIMAL, DISTAL, DUCT))
    basal = np.where(tubular, 1.9 * np.exp(-0.5 * ((depth - 6.5) / 3.5) ** 2), 1.0)
    chosen = (keep < DENSITY[here] / MAX_DENSITY * basal) & (xy < size).all(axis=1)

    xy, at, here, mix = xy[chosen], at[chosen], here[chosen], mix[chosen]
    kind = (mix[:, None] > np.cumsum(MIX[here], axis=1)).sum(axis=1)
    kind = np.where((kind == PROXIMAL_A) & zone[at[:, 1], at[:, 0]], PROXIMAL_B, kind)

    owner = np.full(structure.shape, -1, dtype=np.int32)
    owner[at[:, 1], at[:, 0]] = np.arange(len(xy))
    distance, nearest = ndimage.distance_transform_edt(owner < 0, return_indices=True)
    owner = owner[tuple(nearest)]
    owner[(distance * pixel > REACH) | np.isin(structure, (GLASS, LUMEN, FAT))] = -1
    return xy, kind, owner
