"""Measure how strongly the spots of a section show in its super-resolved maps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stsr.arguments import NAME, SEED
from stsr.metrics import LatticeImprint
from stsr.metrics import lattice_imprint as imprint_of
from stsr.options import Items
from stsr.spatial import read_columns
from stsr.spatial.bins import table_grid
from stsr.spatial.spot_lattice import section_edges
from stsr.tl._reading import batches

if TYPE_CHECKING:
    import pandas as pd
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

GENES = Items(NAME, most=1_000_000, optional=True)


def lattice_imprint(
    sdata: SpatialData,
    table: str = "sr_008um",
    *,
    layer: str | None = None,
    genes: Sequence[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Measure how strongly the spots that a table was made from show in its maps.

    Tissue does not depend on where spots were printed: a map that shows them as discs is wrong, however well it scores. At
    the edge of every spot the step from just outside to just inside is measured, over a cell and a half to either side, 12
    µm at least. The root mean square of the steps is compared with that of the same spots after a random common
    displacement, 39 times: these give the steps that the tissue's own structure makes. The formulas are those of
    :func:`stsr.metrics.lattice_imprint` and :func:`stsr.metrics.spot_edges`.

    Parameters
    ----------
    sdata
        The section with the table and the printed spots that it was made from.
    table
        Name of a table on a grid, such as from :func:`stsr.tl.fit_super_resolution`.
    layer
        Layer of the table to measure; ``X`` when None.
    genes
        Names of the genes; all of the table when None.
    seed
        Seed of the random displacements.

    Returns
    -------
    One row for each gene, with the columns

    ``gene``
        Its name.
    ``imprint``
        1 where no spots show and above 1 where discs do. Below 1 the map is flatter at the edges of spots than elsewhere:
        0 for nearest-neighbour interpolation, whose plateaus end halfway to the next spot.
    ``step``
        Mean step as a share of the gene's mean: above 0 where discs are on the whole brighter than what surrounds them.
    ``p``
        Two-sided p-value of ``imprint``: whether the true places differ from the displaced ones. Of many genes some are small
        by chance.
    ``p_all``
        The same for all genes of the table together, in every row. Above 0.05, the map does not differ significantly
        from one without any imprint.

    All are NaN for a constant gene. All genes are NaN, with a warning, when fewer than 5 spots have cells inside and around
    them, or when spots are hardly wider than cells.

    Raises
    ------
    KeyError
        When ``table`` or ``layer`` is not there; the message lists what is.
    ValueError
        For an unknown gene, and when the section has no printed spots: no spots at all, one, or the bins of a grid,
        which have no gaps between them.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(900, 900), seed=0)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=["PODO1", "ENDO1"])
    >>> stsr.tl.lattice_imprint(sdata, "sr_008um").round(1)
        gene  imprint  step    p  p_all
    0  PODO1      4.0   0.0  0.0    0.0
    1  ENDO1      4.2   0.0  0.0    0.0
    """
    import pandas as pd

    chosen, seed = GENES("genes", genes), SEED("seed", seed)
    grid, rows = table_grid(sdata, NAME("table", table))
    names = list(sdata.tables[table].var_names) if chosen is None else list(chosen)
    edges = section_edges(sdata, grid.xy[rows], grid.bin_size, seed=seed)
    found = LatticeImprint.join(
        [
            imprint_of(read_columns(sdata, table, names[batch], layer=layer), edges)
            for batch in batches(len(names), len(rows))
        ]
    )
    if np.isnan(found.imprint).all():
        logger.warning(
            "The imprint of %s cannot be measured: too few spots lie on its cells, or are wider than these, or all genes are constant.",
            table,
        )
    return pd.DataFrame(
        {"gene": names, "imprint": found.imprint, "step": found.step, "p": found.p, "p_all": found.p_all}
    )
