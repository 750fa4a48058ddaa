"""Maps of genes over the tissue."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.constants import SD
from stsr.options import Number, Switch, Whole
from stsr.pl._cells import check_colours, colour_bar, draw_cells, draw_outline, see_through
from stsr.pl._frame import Frame, panels
from stsr.pl._limits import check_limits, colour_scale
from stsr.pl._output import axes_figure, check_output, finish
from stsr.pl._picture import draw_image, draw_scale_bar, fade, read_image
from stsr.pl._results import as_list, choose_table
from stsr.spatial import read_columns
from stsr.spatial.bins import table_grid
from stsr.spatial.units import columns_state

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData


def gene_map(
    sdata: SpatialData,
    genes: str | Sequence[str],
    *,
    table: str | None = None,
    layer: str | None = None,
    image: bool = True,
    log1p: bool = False,
    cmap: str = "magma_r",
    vmin: float | str = 0,
    vmax: float | str = "p99",
    crop: Sequence[float] | None = None,
    ncols: int = 4,
    size: float = 4.0,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw the super-resolved expression of genes over the tissue.

    Parameters
    ----------
    sdata
        A section with a super-resolved table.
    genes
        One gene or several; one panel each. Only these are read.
    table
        Name of the table; may be left out when there is one result.
    layer
        A layer of the table, such as ``"sd"``; its expected counts when None.
    image
        Draw the H&E in a panel of its own, and faded under the genes, which cover it where they are expressed.
    log1p
        Space the colours by the logarithm of 1 + the value; the colour bar still tells the values.
    cmap
        A colour map of matplotlib that gets darker, or brighter, all the way.
    vmin, vmax
        Where the colours start and end: a number, or a percentile of the cells' values such as ``"p99"``, so that a few
        bright cells do not darken all others.
    crop
        Part to draw: left, top, right and bottom in µm of the full-resolution image; the whole tissue when None.
    ncols
        Panels in a row.
    size
        Longer side of a panel in inches.
    ax
        Draw the map of one gene here instead of in a figure of its own; the H&E then gets no panel.

    show
        Show the figure at once, as ``plt.show()`` does; False keeps it from pyplot. When None, it is pyplot's current
        figure, for ``plt.show()`` or ``plt.savefig``; in a notebook it is shown as the result.
    save
        File to write the picture to, such as ``"map.png"``; pyplot then lets go of the figure.

    Returns
    -------
    The figure.

    Raises
    ------
    KeyError
        When ``table`` or ``layer`` is not there; the message lists what is.
    ValueError
        For an unknown gene, when ``table`` is left out but there is not exactly one result, or for a crop or limits
        of colours out of range.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=["PODO1", "PTUA1"])
    >>> figure = stsr.pl.gene_map(sdata, ["PODO1", "PTUA1"])
    >>> figure.savefig("map.png")
    """
    import matplotlib

    check_output(show, save, ax)
    ncols, size, image = Whole(1, 100)("ncols", ncols), Number(0.1, 100)("size", size), Switch()("image", image)
    log1p = Switch()("log1p", log1p)
    check_colours(cmap)
    check_limits(vmin, vmax)
    table, genes = choose_table(sdata, table), as_list(genes)
    if ax is not None and len(genes) > 1:
        raise ValueError(
            f"ax takes the map of one gene, genes names {len(genes)}; leave ax out, or call once for each."
        )
    grid, cells = table_grid(sdata, table)
    columns = read_columns(sdata, table, genes, layer=layer)
    frame = Frame.of(grid, crop)
    seen = frame.shows(grid.xy)

    pixels = read_image(sdata, frame) if image else None
    if ax is None:
        n_panels = len(genes) + image
        ncols = min(ncols, n_panels)
        figure, axes = panels(frame, -(-n_panels // ncols), ncols, size)
        for empty in axes.flat[n_panels:]:
            empty.set_visible(False)
        drawn = list(axes.flat[image:n_panels])
    else:
        figure, drawn = axes_figure(ax), [ax]
        frame.fit(ax)
    if pixels is not None and ax is None:
        draw_image(axes.flat[0], pixels, frame)
        draw_scale_bar(axes.flat[0], frame)
        axes.flat[0].set_title("H&E", fontsize="medium")

    colours = see_through(cmap) if image else matplotlib.colormaps[cmap]
    kind = _kind(sdata.tables[table], genes, columns, layer)
    for panel, gene, column in zip(drawn, genes, columns.T, strict=True):
        values = np.full(grid.n_cells, np.nan, dtype=np.float32)
        values[cells] = column
        if pixels is not None:
            draw_image(panel, fade(pixels), frame)
        norm = colour_scale(vmin, vmax, values[seen], log1p=log1p)
        painted = draw_cells(panel, grid, values, frame, norm, colours)
        draw_outline(panel, grid, frame)
        draw_scale_bar(panel, frame)
        colour_bar(painted, [panel], f"{kind} per {grid.bin_size:.3g} µm bin")
        panel.set_title(gene, style="italic", fontsize="medium")
    return finish(figure, show, save)


def _kind(table: AnnData, genes: list[str], values: Any, layer: str | None) -> str:
    """What a colour bar says that the values are: counts only where they still are."""
    columns = table.var_names.get_indexer(genes)
    if layer == SD:
        return f"{SD} of UMI"
    if columns_state(table, columns, values, layer=layer) == "counts":
        return "UMI"
    return "X (not counts)" if layer is None else layer
