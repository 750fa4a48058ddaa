"""Normalise the stain of a slide to a fixed reference: estimated once on a sample of tissue, then applied anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

STAINS = ("macenko", "reinhard")
"""The methods of :func:`estimate_stain`."""

REFERENCE_STAINS = np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]])
"""(3, 2) optical densities of red, green and blue per unit of haematoxylin and of eosin on the reference slide."""

REFERENCE_STRENGTHS = np.array([1.9705, 1.0308])
"""99th percentiles of haematoxylin and eosin on the reference slide; with :data:`REFERENCE_STAINS` the reference of
Macenko et al.'s published program, which torchstain uses."""

REFERENCE_LAB = (np.array([65.22132, 28.934267, -14.142519]), np.array([15.800227, 9.263783, 6.0213304]))
"""Means and standard deviations of CIELAB over H&E tiles of about 450 TCGA slides (preset ``v3`` of Slideflow,
J. M. Dolezal et al., BMC Bioinformatics 25 (2024) 134)."""

_STAINED = 0.15
"""Smallest optical density, in every channel, of a stained pixel (Macenko's beta)."""
_FAINTEST = 0.02
"""Lower bound of this threshold for pale slides: two or three grey levels, more than noise."""
_DARKEST = 0.1
"""Darkest share of a pale slide's tissue that counts as stained; more where the sample is small."""
_BLEACHED, _WHITE = 0.3, 250
"""Share of the stained pixels that Macenko normalisation may turn white, and the grey level from which on a pixel is white."""
_FEWEST = 10_000
"""Stained pixels that an estimate needs, at least."""
_MARGIN = 1.01
"""Factor by which the threshold of a small sample keeps more than these."""
_SMALLEST_ANGLE = 5.0
"""Degrees between haematoxylin and eosin below which they count as one stain."""
_NEGATIVE = -0.1
"""Smallest optical density of a stain vector; below 0 for noise."""
_SMALLEST_SD = 1.0
"""Smallest standard deviation in CIELAB of a slide with colour contrast."""


class StainError(ValueError):
    """The stain cannot be estimated; the message says why."""


class Stain(Protocol):
    """An estimated stain: call it with (..., 3) uint8 RGB to get the pixels with the stain of the reference."""

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Normalise pixels, each independently of the others, so an image may be cut in any way."""
        ...


@dataclass(frozen=True, eq=False)
class Macenko:
    """A slide's haematoxylin and eosin (Macenko et al., ISBI 2009).

    Parameters
    ----------
    stains
        (3, 2) unit vectors: optical densities of red, green and blue of haematoxylin and of eosin.
    strengths
        (2,) 99th percentiles of the stains' concentrations.
    background
        (3,) RGB of bare glass; it becomes white.
    """

    stains: NDArray[np.float64]
    strengths: NDArray[np.float64]
    background: NDArray[np.float64]

    @property
    def angle(self) -> float:
        """Degrees between the two stains."""
        return float(np.degrees(np.arccos(np.clip(self.stains[:, 0] @ self.stains[:, 1], -1, 1))))

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Unmix the two stains, scale them and mix with the reference's vectors: one linear map of optical densities.

        As published, the residual (pigment, noise) is dropped.
        """
        unmix_and_mix = REFERENCE_STAINS @ np.diag(REFERENCE_STRENGTHS / self.strengths) @ np.linalg.pinv(self.stains)
        levels = np.arange(256)[:, None]
        density = -np.log((levels + 1) / (self.background + 1)).astype(np.float32)
        channels = np.stack([density[:, band][image[..., band]] for band in range(3)], axis=-1)
        light = 256 * np.exp(-(channels @ unmix_and_mix.T.astype(np.float32))) - 1
        return np.rint(np.clip(light, 0, 255)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Reinhard:
    """A slide's colours: means and standard deviations of its tissue in CIELAB (Reinhard et al., IEEE CG&A 21, 2001).

    Parameters
    ----------
    mean, sd
        (3,) over lightness, green-red and blue-yellow.
    background
        (3,) RGB of bare glass; it becomes white.
    stained
        Optical density of the darkest channel from which on a pixel is stained; paler pixels are blended with white.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    background: NDArray[np.float64]
    stained: float = _STAINED

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Shift and scale each colour axis to the reference's; pixels as light as glass become white."""
        from skimage.color import lab2rgb, rgb2lab

        mean, sd = REFERENCE_LAB
        image = image.astype(np.float32)
        lab = (rgb2lab(image / 255) - self.mean) / self.sd * sd + mean
        # yellow is limited to the gamut at this lightness: b* <= 200 (L* + 16) / 116; beyond it skimage warns, and clips too
        lab[..., 2] = np.minimum(lab[..., 2], 200 * (lab[..., 0] + 16) / 116 - 1e-3)
        matched = lab2rgb(lab).astype(np.float32)
        light = ((image + 1) / (self.background.astype(np.float32) + 1)).min(axis=-1, keepdims=True)
        stained = np.clip(-np.log(light) / self.stained, 0, 1)
        return np.rint(255 * (stained * matched + 1 - stained)).astype(np.uint8)


def estimate_stain(sample: NDArray[np.uint8], method: str, *, background: ArrayLike = (240, 240, 240)) -> Stain:
    """Estimate the stain of a slide with torchstain.

    Parameters
    ----------
    sample
        (pixels, 3) uint8 RGB of tissue from all over the slide, about a million pixels.
    method
        ``"macenko"``: the two stains and their strengths; ``"reinhard"``: means and spreads of colours.
    background
        RGB of bare glass.

    Returns
    -------
    :class:`Macenko` or :class:`Reinhard`, a function from RGB to normalised RGB.

    Raises
    ------
    ValueError
        For an unknown method.
    StainError
        When too few pixels are stained, or the colours are not those of H&E.

    References
    ----------
    M. Macenko et al., ISBI 2009, 1107-1110, steps 1 to 7. E. Reinhard et al., IEEE CG&A 21 (2001) 34-41, equations 10
    and 11, in CIELAB.

    Examples
    --------
    >>> import numpy as np
    >>> amounts = np.random.default_rng(0).gamma(1.5, 0.6, (20_000, 2))
    >>> pixels = 241 * np.exp(-amounts @ np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])) - 1
    >>> stain = estimate_stain(np.clip(pixels, 0, 255).astype(np.uint8), "macenko")
    >>> stain.stains[:, 1].round(1)  # eosin
    array([0.1, 1. , 0.1])
    >>> stain(np.full((2, 2, 3), 240, dtype=np.uint8))[0, 0]
    array([255, 255, 255], dtype=uint8)
    """
    if method not in STAINS:
        raise ValueError(f"stain={method!r} is not known; choose one of {', '.join(STAINS)} or None.")
    glass = np.asarray(background, dtype=np.float64)
    least = _least_density(sample, glass)
    cut = stained_density(least)
    stained = int((least >= cut).sum())
    if stained < _FEWEST:
        raise StainError(
            f"only {stained} of {len(sample)} sampled pixels are stained, {_FEWEST} are needed; the others are not "
            f"darker than glass by an optical density of {cut:.2g} in every channel"
        )
    return _macenko(sample, glass, cut) if method == "macenko" else _reinhard(sample, glass, cut)


def _least_density(sample: NDArray[np.uint8], glass: NDArray[np.float64]) -> NDArray[np.float64]:
    """(pixels,) smallest optical density over channels, relative to glass."""
    table = -np.log((np.arange(256)[:, None] + 1) / (glass + 1))
    return np.min([table[sample[:, band], band] for band in range(3)], axis=0)


def stained_density(least: NDArray[np.float64]) -> float:
    """Threshold of the smallest optical density over channels, from which on a pixel of this slide counts as stained.

    It is Macenko's 0.15, unless fewer than a tenth of the tissue's pixels reach that. On such a pale slide it is the
    density of the darkest tenth, but at least that of noise.

    Parameters
    ----------
    least
        (pixels,) smallest optical density over channels, of tissue.
    """
    share = max(_DARKEST, _MARGIN * _FEWEST / len(least))
    return float(np.clip(np.quantile(least, max(1 - share, 0)), _FAINTEST, _STAINED))


def _macenko(sample: NDArray[np.uint8], background: NDArray[np.float64], cut: float) -> Macenko:
    from torchstain import normalizers

    fitted = normalizers.MacenkoNormalizer(backend="numpy")
    fitted.fit(sample[None], Io=background, beta=cut)
    stain = Macenko(cast("NDArray[np.float64]", fitted.HERef), fitted.maxCRef, background)
    (red_h, green_h, blue_h), (red_e, green_e, blue_e) = stain.stains.T
    if not np.isfinite(stain.stains).all() or stain.angle < _SMALLEST_ANGLE:
        raise StainError(f"the tissue has one colour, not two: its stains lie {stain.angle:.1f} degrees apart")
    if stain.stains.min() < _NEGATIVE or blue_h > max(red_h, green_h) or green_e < max(red_e, blue_e):
        colours = " and ".join(str(vector.round(2).tolist()) for vector in stain.stains.T)
        raise StainError(f"optical densities {colours} are not those of haematoxylin and eosin")
    if stain.strengths.min() <= 0:
        raise StainError(f"stain strengths {stain.strengths.round(2).tolist()} are not positive")
    stained = sample[((sample + 1.0) / (background + 1)).min(axis=-1) < np.exp(-cut)]
    bleached = float((stain(stained) >= _WHITE).all(axis=-1).mean())
    if bleached > _BLEACHED:
        raise StainError(
            f"the stains found do not fit the slide: {bleached:.0%} of the stained pixels would turn white"
        )
    return stain


def _reinhard(sample: NDArray[np.uint8], background: NDArray[np.float64], cut: float) -> Reinhard:
    from torchstain import normalizers

    fitted = normalizers.ReinhardNormalizer(backend="numpy")
    fitted.fit(sample[None])
    stain = Reinhard(fitted.target_means.astype(np.float64), fitted.target_stds.astype(np.float64), background, cut)
    if stain.sd.min() < _SMALLEST_SD:
        raise StainError(f"the tissue has almost no colour contrast: CIELAB spreads {stain.sd.round(2).tolist()}")
    return stain
