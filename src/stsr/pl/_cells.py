"""Values of grid cells and of spots as coloured pictures on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.geometry import Aperture, Disc, Grid
from stsr.pl._frame import Frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, Normalize

OUTLINE = 40.0
"""µm: features of the tissue's edge smaller than this are smoothed away in its outline."""


def check_colours(name: str) -> None:
    """Refuse a colour map that matplotlib does not have."""
    import matplotlib

    if name not in matplotlib.colormaps:
        raise ValueError(f"cmap={name!r} is no colour map of matplotlib; use one such as 'magma_r' or 'viridis'.")


def see_through(name: str) -> Colormap:
    """A colour map that lets the image through where there is little: opaque from 40 % of the scale upwards."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    colours = matplotlib.colormaps[name](np.linspace(0, 1, 256))
    colours[:, 3] = np.clip(np.linspace(0, 2.5, 256), 0, 1)
    return ListedColormap(colours, name=f"{name} see-through")


def draw_cells(axes: Axes, grid: Grid, values: NDArray[Any], frame: Frame, norm: Normalize, cmap: Colormap) -> Any:
    """Paint (cells,) values, in the order of the grid's ids, where the cells lie."""
    from matplotlib.transforms import Affine2D

    raster = np.full(grid.shape, np.nan, dtype=np.float32)
    raster[grid.mask] = values
    rows, cols = grid.shape
    painted = axes.imshow(
        raster,
        extent=(0, cols, rows, 0),
        transform=Affine2D(grid.affine) + axes.transData,
        norm=norm,
        cmap=cmap,
        interpolation_stage="data",
        zorder=1,
    )
    frame.fit(axes)
    return painted


def draw_spots(
    axes: Axes,
    xy: NDArray[np.float64],
    aperture: Aperture,
    values: NDArray[Any],
    frame: Frame,
    norm: Normalize,
    cmap: Colormap,
) -> Any:
    """Paint (spots,) values as discs or squares of their true size."""
    from matplotlib.collections import EllipseCollection, PolyCollection

    seen = frame.shows(xy, margin=2 * aperture.reach)
    discs: EllipseCollection | PolyCollection
    if isinstance(aperture, Disc):
        size = np.full(int(seen.sum()), aperture.diameter)
        discs = EllipseCollection(
            size, size, np.zeros_like(size), units="xy", offsets=xy[seen], offset_transform=axes.transData, zorder=1
        )
    else:
        discs = PolyCollection(list(xy[seen][:, None] + aperture.corners), zorder=1)
    discs.set(array=np.asarray(values)[seen], norm=norm, cmap=cmap, edgecolor="none")
    return axes.add_collection(discs, autolim=False)


def draw_outline(axes: Axes, grid: Grid, frame: Frame) -> None:
    """Trace the edge of the tissue."""
    from matplotlib.transforms import Affine2D
    from scipy import ndimage

    pad = 2
    soft = ndimage.gaussian_filter(np.pad(grid.mask, pad).astype(np.float32), OUTLINE / 2 / grid.bin_size)
    cols, rows = (np.arange(size) - pad + 0.5 for size in soft.shape[::-1])
    axes.contour(
        cols,
        rows,
        soft,
        levels=[0.5],
        colors="0.25",
        linewidths=0.6,
        transform=Affine2D(grid.affine) + axes.transData,
        zorder=2,
    )
    frame.fit(axes)


def colour_bar(painted: ScalarMappable, panels: Sequence[Axes], label: str) -> None:
    """A slim bar beside panels; its pointed end says that larger values take the last colour."""
    figure = panels[0].figure
    bar = figure.colorbar(painted, ax=list(panels), fraction=0.05, pad=0.01, shrink=0.7, extend="max", aspect=25)
    bar.set_label(label, fontsize="x-small")
    bar.ax.tick_params(labelsize="x-small", width=0.5, length=2)
    bar.outline.set_linewidth(0.5)
