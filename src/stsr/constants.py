"""Every name that stsr writes into a SpatialData object, once."""

from __future__ import annotations

ATTRS = "stsr"
"""Key of the section record in ``sdata.attrs`` and of the run record in a table's ``uns``."""

IMAGE = "he"
"""Image element: the calibrated H&E, uint8 RGB pyramid."""

TISSUE = "tissue"
"""Labels element: 1 on tissue, 0 elsewhere."""

INSTANCE = "bin_id"
"""``obs`` column that ties a table's rows to the grid's labels."""

REGION = "region"
"""``obs`` column that names the labels element a table annotates."""

ARRAY_ROW, ARRAY_COL = "array_row", "array_col"
"""``obs`` columns with a cell's row and column on its grid, or a spot's on its array."""

PATIENT = "patient"
"""``obs`` column of a table of spots that names the patient of each."""

SPATIAL = "spatial"
"""``obsm`` key: centroids (x, y) in full-resolution pixels."""

LATENT = "X_stsr"
"""``obsm`` key: the method's latent representation of each cell."""

TOTAL = "stsr_total"
"""``obsm`` and ``varm`` key: sums of the rows and columns of ``X`` when it was written."""

SD = "sd"
"""Layer with the predictive standard deviation."""


def microns(size: float) -> str:
    """Write a bin size the way element names carry it: ``8`` becomes ``"008um"``, ``2.5`` becomes ``"002.5um"``."""
    whole, _, part = f"{size:.3f}".rstrip("0").partition(".")
    return f"{int(whole):03d}{'.' + part if part else ''}um"


def grid_key(bin_size: float) -> str:
    """Name of the grid's labels element."""
    return f"grid_{microns(bin_size)}"


def table_key(bin_size: float) -> str:
    """Name of the super-resolved table."""
    return f"sr_{microns(bin_size)}"


def features_key(encoder: str, grid: str) -> str:
    """Name of the feature raster that an encoder leaves on a grid."""
    safe = "".join(c if c.isalnum() or c in "-." else "-" for c in encoder)
    return f"features_{safe}_{grid.removeprefix('grid_')}"


def counts_key(bin_size: float) -> str:
    """Name of a table with the counts measured in squares of a grid."""
    return f"square_{microns(bin_size)}"


def densified_key(spots: str, factor: int) -> str:
    """Name of the virtual spots between those called ``spots``."""
    return f"{spots}_{factor}x"
