"""Spots, prediction and truth side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from stsr.options import Number
from stsr.pl._cells import (
    check_colours,
    colour_bar,
    draw_cells,
    draw_outline,
    draw_spots,
    see_through,
)
from stsr.pl._frame import Frame, panels
from stsr.pl._limits import check_limits, colour_scale
from stsr.pl._output import check_output, finish
from stsr.pl._picture import draw_image, draw_scale_bar, fade, read_image
from stsr.pl._results import as_list, choose_table
from stsr.spatial import (
    gene_positions,
    raw_counts,
    read_columns,
    spot_aperture,
    spot_positions,
    spots_record,
    spots_table,
)
from stsr.spatial.bins import bin_grid, table_grid
from stsr.spatial.units import check_columns

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure
    from spatialdata import SpatialData


def compare(
    sdata: SpatialData,
    genes: str | Sequence[str],
    *,
    table: str | None = None,
    layer: str | None = None,
    truth: AnnData | None = None,
    cmap: str = "magma_r",
    vmin: float | str = 0,
    vmax: float | str = "p99",
    crop: Sequence[float] | None = None,
    size: float = 4.0,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw what was measured, what was predicted and, where it is known, what is true: a row for each gene.

    All panels of a row have one colour scale, in counts per cell of the prediction: the counts of a spot are divided by
    the number of cells in its disc, those of a bin of the truth scaled by area. So the same colour means the same
    density. A percentile ``vmax`` is that of the prediction or of the spots, whichever is higher; measured counts of small bins
    scatter widely around it.

    Parameters
    ----------
    sdata
        A section with spots and a super-resolved table.
    genes
        One gene or several.
    table
        Name of the table; may be left out when there is one result.
    layer
        Layer of the table with the expected counts, where ``X`` holds something else; ``X`` when None.
    truth
        Raw counts of small bins, as :func:`stsr.tl.evaluate` takes them.
    cmap
        A colour map of matplotlib that gets darker, or brighter, all the way.
    vmin, vmax
        Where the colours of a row start and end, in counts per cell: a number, or a percentile such as ``"p99"``.
    crop
        Part to draw: left, top, right and bottom in µm of the full-resolution image; the whole tissue when None.
    size
        Longer side of a panel in inches.

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
        For a section without spots, a result or spots that were normalised or logged, an unknown gene, when ``table`` is left out but there is not exactly one result, or
        for a truth without regular bins.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=["PODO1"])
    >>> figure = stsr.pl.compare(sdata, "PODO1", table="sr_008um", truth=sdata["truth_008um"])
    >>> figure.savefig("compare.png")
    """
    check_output(show, save)
    size = Number(0.1, 100)("size", size)
    check_colours(cmap)
    check_limits(vmin, vmax)
    table, genes = choose_table(sdata, table), as_list(genes)
    facts = spots_record(sdata)
    grid, cells = table_grid(sdata, table)
    frame = Frame.of(grid, crop)
    where = f"sdata[{facts.table!r}]"
    cell_area = grid.bin_size**2

    predicted = np.full((grid.n_cells, len(genes)), np.nan, dtype=np.float32)
    predicted[cells] = read_columns(sdata, table, genes, layer=layer)
    check_columns(sdata.tables[table], table, genes, predicted[cells], layer=layer)
    own = spots_table(sdata)
    spots = spot_positions(sdata, own, facts)
    aperture = spot_aperture(sdata, facts)
    counts = raw_counts(own[:, gene_positions(own.var_names, genes, where=where)], name=facts.table)
    measured = counts.toarray() * (cell_area / aperture.area)
    if truth is not None:
        bins, position = bin_grid(truth, facts.mpp, name="truth")
        true = np.empty((bins.n_cells, len(genes)), dtype=np.float32)
        columns = truth.X[:, gene_positions(truth.var_names, genes, where="truth")]
        true[position] = columns.toarray() if sp.issparse(columns) else np.asarray(columns)
        true *= cell_area / bins.bin_size**2

    titles = ["spots", "prediction", "truth"][: 3 if truth is not None else 2]
    figure, axes = panels(frame, len(genes), len(titles), size)
    pixels, colours = fade(read_image(sdata, frame)), see_through(cmap)
    seen, seen_spots = frame.shows(grid.xy), frame.shows(spots)
    for number, (gene, row) in enumerate(zip(genes, axes, strict=True)):
        norm = colour_scale(vmin, vmax, predicted[seen, number], measured[seen_spots, number])
        draw_spots(row[0], spots, aperture, measured[:, number], frame, norm, colours)
        painted = draw_cells(row[1], grid, predicted[:, number], frame, norm, colours)
        if truth is not None:
            draw_cells(row[2], bins, true[:, number], frame, norm, colours)
        for panel in row:
            draw_image(panel, pixels, frame)
            draw_outline(panel, grid, frame)
            draw_scale_bar(panel, frame)
        row[0].set_ylabel(gene, style="italic", fontsize="large")
        colour_bar(painted, row, f"UMI per {grid.bin_size:.3g} µm bin")
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title, fontsize="medium")
    return finish(figure, show, save)
