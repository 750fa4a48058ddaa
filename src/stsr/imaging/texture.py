"""Texture of stained tissue: image features of each cell of a grid, at its own size and in wider surroundings.

Colour deconvolution gives the stains (Ruifrok & Johnston 2001), Gaussian derivatives give edges and nuclei
(Lindeberg 1998), the structure tensor gives the strength of orientation (Bigün & Granlund 1987), histograms give the
distribution of optical density, and top-hats the width of bright and dark details (Serra 1982). Nothing is learned or
random. Features do not change when the tissue is mirrored or turned by quarters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from skimage.color import hed_from_rgb

WORKING_MPP = 2.0
"""µm per pixel at which texture is measured, so that it is comparable between scanners."""

SCALES = (8, 16, 40, 80, 160)
"""Sides in µm of square windows. Averages use the Gaussian of the same variance, side² / 12."""

_STAINS = ("haematoxylin", "eosin", "residual")  # scikit-image's third stain is DAB, here brown residuals
_MEANS = (*_STAINS, "lumen", "nuclei", "clumps", "red_edges", "eosin_edges")
_LUMINA = {"small_lumina": 3.0, "lumina": 6.0, "large_lumina": 12.0}
_SPREADS = ("haematoxylin", "eosin", "lumen")
_COLOURS = ("red", "green", "blue")
_LEVELS = {"red": np.linspace(0.05, 0.61, 8), "green": np.linspace(0.10, 1.15, 8), "blue": np.linspace(0.05, 0.68, 8)}
"""Levels of the histograms in optical density, for tissue stained like the reference."""
_DETAILED = ("red_density", "green_density", "lumen")
_WIDTHS = (6, 14, 30)
"""Largest widths in µm of bright or dark details: nuclei, small tubes and large tubes."""

TEXTURE_NAMES: tuple[str, ...] = (
    *(f"{name}_{scale}um" for name in _MEANS for scale in SCALES),
    *(f"{name}_{scale}um" for name in _LUMINA for scale in (16, 80)),
    *(f"{name}_sd_{scale}um" for name in _SPREADS for scale in SCALES),
    *(f"coherence_{scale}um" for scale in (16, 40, 80)),
    *(f"{name}_over_{step}_{scale}um" for name in _LEVELS for step in range(len(_LEVELS[name])) for scale in SCALES),
    *(
        f"{name}_{kind}_{width}_{scale}um"
        for name in _DETAILED
        for kind in ("peaks", "pits")
        for width in _WIDTHS
        for scale in (8, 40)
    ),
    *_COLOURS,
)
"""Names of the features, in the order of :func:`texture_features`."""

_REACH = 3.0
"""Gaussians end at this many standard deviations."""
_EDGE, _NUCLEUS, _CLUMP = 2.0, 3.0, 6.0
"""Standard deviations in µm of the derivative filters, as in ``_LUMINA``. The response to a blob of radius r is largest at
r / sqrt(2) (Lindeberg 1998)."""
_GLASS = 0.6
"""Optical density d, summed over red, green and blue, at which the lumen share exp(-d / 0.6) of a pixel is 1/e."""
_ISOTROPIC = 1e-3
"""Added to the trace of the structure tensor, so that coherence is 0 where there are no edges."""

Map = NDArray[np.float32]


def pixels_per_cell(bin_size: float, mpp: float) -> int:
    """Pixels to a cell's side when ``bin_size`` µm cells are read from an image of ``mpp`` µm/px."""
    return max(1, round(bin_size / max(WORKING_MPP, mpp)))


def texture_halo(bin_size: float) -> int:
    """Width in cells of the surroundings that the features of a cell depend on."""
    derivative = int(np.ceil(_REACH * max(_LUMINA.values()) / bin_size)) + 1
    return derivative + max(_radius(_sigma(scale, bin_size)) for scale in SCALES)


def texture_features(
    window: NDArray[np.uint8], mpp: float, *, cell: int = 1, halo: int = 0, threads: int | None = None
) -> NDArray[np.float32]:
    """Measure texture on the cells of an image window.

    Parameters
    ----------
    window
        (height, width, 3) H&E; both sides multiples of ``cell``.
    mpp
        µm per pixel of the window, best near :data:`WORKING_MPP`.
    cell
        Pixels to a cell's side.
    halo
        Cells on every side that are read but not returned. With :func:`texture_halo` the features of a cell do not
        depend on where the window was cut.
    threads
        Worker threads; all cores by default. Their number does not change the result.

    Returns
    -------
    (features, rows, cols) in the order of :data:`TEXTURE_NAMES`: averages and standard deviations of optical densities,
    lumen share (0 to 1), nuclei, edges and colours (0 to 1), coherence (0 isotropic to 1 one direction), shares of the
    pixels over a level of optical density, and the contrast of details with their surroundings.

    Raises
    ------
    ValueError
        When the window is no RGB image or cannot be cut into cells.

    Examples
    --------
    >>> import numpy as np
    >>> glass = np.full((40, 40, 3), 255, dtype=np.uint8)
    >>> features = texture_features(glass, 2.0, cell=4)
    >>> features.shape == (len(TEXTURE_NAMES), 10, 10)
    True
    >>> float(features[TEXTURE_NAMES.index("lumen_8um")].min())
    1.0
    """
    if window.ndim != 3 or window.shape[2] != 3 or window.dtype != np.uint8:
        raise ValueError(f"window must be (height, width, 3) uint8, got {window.shape} {window.dtype}.")
    if window.shape[0] % cell or window.shape[1] % cell:
        raise ValueError(f"window is {window.shape[:2]} pixels, which cell={cell} does not divide; cut whole cells.")
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        maps = _cell_maps(window, mpp, cell, pool)
        rows, cols = maps["red"].shape
        inner = slice(halo, rows - halo), slice(halo, cols - halo)
        features = pool.map(lambda name: _feature(maps, name, cell * mpp)[inner], TEXTURE_NAMES)
        return np.stack(list(features))


def _cell_maps(window: NDArray[np.uint8], mpp: float, cell: int, pool: ThreadPoolExecutor) -> dict[str, Map]:
    """All pixel measurements, averaged to cells: each (rows, cols)."""
    density = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)
    optical = density[window]
    total = optical.sum(axis=-1)
    lumen = np.exp(-total / _GLASS)
    densities = {name: np.ascontiguousarray(optical[..., band]) for band, name in enumerate(_COLOURS)}
    # Haematoxylin absorbs red light and eosin hardly does, so red shows nuclei whatever the slide's exact stains.
    red = densities["red"]
    stains = {
        name: np.ascontiguousarray(optical @ column.astype(np.float32))
        for name, column in zip(_STAINS, hed_from_rgb.T, strict=True)
    }

    def blobs(values: Map, sigma: float) -> Map:
        response = ndimage.gaussian_laplace(values, sigma / mpp, truncate=_REACH, mode="nearest")
        return np.maximum(response * np.float32(-((sigma / mpp) ** 2)), 0)

    def edges(values: Map) -> Map:
        return np.hypot(*_gradient(values, _EDGE / mpp))

    def over(name: str, step: int) -> Map:
        levels = _LEVELS[name].astype(np.float32)
        return expit(2 * (densities[name] - levels[step]) / (levels[1] - levels[0]))

    def detail(values: Map, kind: str, width: float) -> Map:
        side = 2 * round((width / mpp - 1) / 2) + 1
        if kind == "peaks":
            return values - ndimage.grey_opening(values, (side, side), mode="nearest")
        return ndimage.grey_closing(values, (side, side), mode="nearest") - values

    def tensor() -> tuple[Map, Map, Map]:
        x, y = _gradient(total, _EDGE / mpp)
        return _average(x * x, cell), _average(x * y, cell), _average(y * y, cell)

    squared = {"haematoxylin": stains["haematoxylin"], "eosin": stains["eosin"], "lumen": lumen}
    tasks: dict[str, Callable[[], Map]] = {
        **{name: partial(np.asarray, stain) for name, stain in stains.items()},
        "lumen": lambda: lumen,
        "nuclei": lambda: blobs(red, _NUCLEUS),
        "clumps": lambda: blobs(red, _CLUMP),
        "red_edges": lambda: edges(red),
        "eosin_edges": lambda: edges(stains["eosin"]),
        **{name: partial(blobs, lumen, sigma) for name, sigma in _LUMINA.items()},
        **{f"{name}_squared": partial(np.square, values) for name, values in squared.items()},
        **{f"{name}_over_{step}": partial(over, name, step) for name in _LEVELS for step in range(len(_LEVELS[name]))},
        **{
            f"{name}_{kind}_{width}": partial(detail, values, kind, width)
            for name, values in zip(_DETAILED, (red, densities["green"], lumen), strict=True)
            for kind in ("peaks", "pits")
            for width in _WIDTHS
        },
        **{name: partial(np.divide, window[..., band], np.float32(255)) for band, name in enumerate(_COLOURS)},
    }
    oriented = pool.submit(tensor)
    done = pool.map(lambda task: _average(task(), cell), tasks.values())
    maps = dict(zip(tasks, done, strict=True))
    maps["xx"], maps["xy"], maps["yy"] = oriented.result()
    return maps


def _feature(maps: dict[str, Map], name: str, bin_size: float) -> Map:
    """The feature of that name in ``TEXTURE_NAMES``: (rows, cols)."""
    kind, _, scale = name.removesuffix("um").rpartition("_")
    if not kind:
        return maps[name]
    sigma = _sigma(int(scale), bin_size)
    if kind == "coherence":
        xx, xy, yy = (_blur(maps[part], sigma) for part in ("xx", "xy", "yy"))
        return np.hypot(xx - yy, 2 * xy) / (xx + yy + np.float32(_ISOTROPIC))
    if kind.endswith("_sd"):
        values, squared = maps[kind.removesuffix("_sd")], maps[kind.replace("_sd", "_squared")]
        return np.sqrt(np.maximum(_blur(squared, sigma) - _blur(values, sigma) ** 2, 0))
    return _blur(maps[kind], sigma)


def _sigma(scale: float, bin_size: float) -> float:
    """Standard deviation in cells of the Gaussian that widens a cell's own average to a window of ``scale`` µm."""
    return float(np.sqrt(max(scale**2 - bin_size**2, 0) / 12) / bin_size)


def _radius(sigma: float) -> int:
    """Radius in cells of a Gaussian filter, as scipy truncates it."""
    return int(_REACH * sigma + 0.5)


def _blur(values: Map, sigma: float) -> Map:
    return ndimage.gaussian_filter(values, sigma, truncate=_REACH, mode="nearest") if sigma > 0 else values


def _gradient(values: Map, sigma: float) -> tuple[Map, Map]:
    """Scale-normalised Gaussian derivatives along x and y: multiplied by ``sigma``."""
    return tuple(
        ndimage.gaussian_filter(values, sigma, order=order, truncate=_REACH, mode="nearest") * np.float32(sigma)
        for order in ((0, 1), (1, 0))
    )


def _average(values: Map, cell: int) -> Map:
    """Average ``cell x cell`` pixels."""
    rows, cols = values.shape[0] // cell, values.shape[1] // cell
    return values.reshape(rows, cell, cols, cell).mean(axis=(1, 3), dtype=np.float32)
