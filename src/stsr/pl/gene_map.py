"""Maps of genes over the tissue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stsr.arguments import SWITCH
from stsr.options import Whole
from stsr.pl._cells import colour_bar, colour_limit, colour_scale, draw_cells, draw_outline, see_through
from stsr.pl._frame import Frame, draw_image, draw_scale_bar, fade, panels, read_image
from stsr.pl._results import as_list, choose_table
from stsr.spatial import read_columns
from stsr.spatial.bins import table_grid

if TYPE_CHECKING:
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
    quantile: float = 0.99,
    cmap: str = "magma_r",
    crop: Sequence[float] | None = None,
    ncols: int = 4,
    size: float = 4.0,
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
    quantile
        The colours end at this quantile of the cells' values, so that a few bright cells do not darken all others.
    cmap
        A colour map of matplotlib that gets darker, or brighter, all the way.
    crop
        Part to draw: left, top, right and bottom in µm of the full-resolution image; the whole tissue when None.
    ncols
        Panels in a row.
    size
        Longer side of a panel in inches.

    Returns
    -------
    The figure.

    Raises
    ------
    KeyError
        When ``table`` or ``layer`` is not there; the message lists what is.
    ValueError
        For an unknown gene, when ``table`` is left out but there is not exactly one result, or for a crop or quantile
        out of range.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=["PODO1", "PTUA1"])
    >>> figure = stsr.pl.gene_map(sdata, ["PODO1", "PTUA1"])
    >>> figure.savefig("map.png")
    """
    import matplotlib

    table, genes = choose_table(sdata, table), as_list(genes)
    grid, cells = table_grid(sdata, table)
    columns = read_columns(sdata, table, genes, layer=layer)
    frame = Frame.of(grid, crop)
    seen = frame.shows(grid.xy)

    n_panels = len(genes) + SWITCH("image", image)
    ncols = min(Whole(1, 1000)("ncols", ncols), n_panels)
    figure, axes = panels(frame, -(-n_panels // ncols), ncols, size)
    for empty in axes.flat[n_panels:]:
        empty.set_visible(False)
    if image:
        pixels = read_image(sdata, frame)
        draw_image(axes.flat[0], pixels, frame)
        draw_scale_bar(axes.flat[0], frame)
        axes.flat[0].set_title("H&E", fontsize="medium")

    colours = see_through(cmap) if image else matplotlib.colormaps[cmap]
    kind = "UMI" if layer is None else f"{layer} of UMI"
    for panel, gene, column in zip(axes.flat[image:], genes, columns.T, strict=False):
        values = np.full(grid.n_cells, np.nan, dtype=np.float32)
        values[cells] = column
        if image:
            draw_image(panel, fade(pixels), frame)
        norm = colour_scale(colour_limit(values[seen], quantile), log1p=log1p)
        painted = draw_cells(panel, grid, values, frame, norm, colours)
        draw_outline(panel, grid, frame)
        draw_scale_bar(panel, frame)
        colour_bar(painted, [panel], f"{kind} per {grid.bin_size:.3g} µm bin")
        panel.set_title(gene, style="italic", fontsize="medium")
    return figure
