"""From a SpatialData object to the arrays-only :class:`~stsr.section.Section`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.constants import IMAGE
from stsr.geometry import Aperture, Disc, Square
from stsr.section import Section
from stsr.spatial.bins import rows_grid
from stsr.spatial.columns import gene_positions
from stsr.spatial.frames import um_affine
from stsr.spatial.grid import labels_to_grid
from stsr.spatial.raster import read_raster
from stsr.spatial.record import SpotsRecord, record, spots_record
from stsr.spatial.spot_names import array_places, spot_patients

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


NOTHING = Disc(55.0)
"""Stands for what a spot covers in a section without any."""


def read_section(
    sdata: SpatialData,
    *,
    genes: Sequence[str],
    grid: str,
    features: str | None = None,
    need_image: bool = False,
    with_spots: bool = True,
) -> Section:
    """What a method gets to see of a section.

    Parameters
    ----------
    sdata
        A section read by one of stsr's readers.
    genes
        Names of the genes, each once.
    grid
        Labels element with the cells to predict.
    features
        Image element with the features of the cells, when the method needs them.
    need_image
        Add the calibrated H&E.
    with_spots
        Read the spots and their counts. A section without them has 0 spots, and ``genes`` may be any.

    Returns
    -------
    The section. Its spots bear the name in the section's record, the patient in the table's ``obs["patient"]`` or else in
    the record, and the place on the array in ``obs["array_row"]`` and ``obs["array_col"]``.

    Raises
    ------
    KeyError
        For an unknown element; the message lists the valid ones.
    ValueError
        For an unknown gene or one listed twice, or when the table does not hold raw counts.
    """
    facts = record(sdata)
    raster = read_raster(sdata, IMAGE) if need_image else None
    cells, values = labels_to_grid(sdata, grid), None if features is None else _features(sdata, features)
    if not with_spots or facts.table is None:
        counts = sp.csr_array((0, len(genes)), dtype=np.float32)
        return Section(tuple(genes), np.empty((0, 2)), NOTHING, counts, np.empty(0), cells, values, raster)
    facts, table = spots_record(sdata), spots_table(sdata)
    columns = gene_positions(table.var_names, genes, where=f"sdata[{facts.table!r}]")
    counts = raw_counts(table, name=facts.table)
    return Section(
        genes=tuple(genes),
        spots=spot_positions(sdata, table, facts),
        aperture=spot_aperture(sdata, facts),
        counts=sp.csr_array(counts[:, columns]),
        library=np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel(),
        grid=cells,
        features=values,
        image=raster,
        section_name=facts.dataset_id,
        patient=spot_patients(table, facts),
        array_rowcol=array_places(table),
    )


def spots_table(sdata: SpatialData) -> AnnData:
    """The table of a section's spots: of a table that several sections share, the rows of this one.

    Raises
    ------
    ValueError
        When the section has no spots, or none of the table's rows are this section's.
    KeyError
        When the table is not in ``sdata``.
    """
    from spatialdata.models import get_table_keys

    facts = spots_record(sdata)
    if facts.table not in sdata.tables:
        raise KeyError(
            f"table={facts.table!r} not found; sdata holds the tables {', '.join(sdata.tables) or 'none'}. It has the "
            f"counts of section {facts.dataset_id!r}; a crop without any spot lacks it."
        )
    table = sdata.tables[facts.table]
    if "spatialdata_attrs" not in table.uns:
        raise ValueError(
            f"table {facts.table!r} does not say which spots its rows are; pass it through "
            "spatialdata.models.TableModel.parse with region, region_key and instance_key."
        )
    _, column, _ = get_table_keys(table)
    own = (table.obs[column] == facts.spots).to_numpy()
    if not own.any():
        others = ", ".join(str(each) for each in table.obs[column].unique()[:3]) or "nothing"
        raise ValueError(
            f"table {facts.table!r} annotates {others}, not the spots {facts.spots!r} of section {facts.dataset_id!r}; "
            f"give the spots their name back, or write it into obs[{column!r}] and parse the table again."
        )
    return table if own.all() else table[own]


def raw_counts(table: AnnData, *, name: str) -> sp.csr_array:
    """(spots, genes) counts of a table, sparse float32.

    Raises
    ------
    ValueError
        When they are not whole numbers from 0 up.
    """
    if table.X is None:
        raise ValueError(f"table {name!r} has no X; put the raw UMI counts there.")
    values = table.X.compute() if hasattr(table.X, "compute") else table.X
    counts = sp.csr_array(values, dtype=np.float32)
    fault = "NaN or infinite" if not np.isfinite(counts.data).all() else ""
    fault = fault or ("negative" if (counts.data < 0).any() else "")
    fault = fault or ("non-integer" if (counts.data != np.rint(counts.data)).any() else "")
    if fault:
        raise ValueError(f"table {name!r} holds {fault} values in X; raw UMI counts are needed, before normalisation.")
    return counts


def spot_positions(sdata: SpatialData, table: AnnData, record: SpotsRecord) -> NDArray[np.float64]:
    """(spots, 2) centres in µm of the spots in a table's rows."""
    from spatialdata.models import get_table_keys

    if record.spots in sdata.labels:
        grid, cells = rows_grid(sdata, table, name=record.table)
        return grid.xy[cells]
    if record.spots not in sdata.shapes:
        raise KeyError(
            f"spots={record.spots!r} not found; sdata holds the shapes {', '.join(sdata.shapes) or 'none'}. They are the "
            f"spots of section {record.dataset_id!r}."
        )
    shapes = sdata.shapes[record.spots]
    _, _, instance = get_table_keys(table)
    names = table.obs[instance]
    _check_spots(names, shapes.index, record, instance)
    centres = shapes.geometry.loc[names].centroid
    to_um = um_affine(shapes, record, name=record.spots)
    return np.column_stack([centres.x, centres.y]) @ to_um[:2, :2].T + to_um[:2, 2]


def _check_spots(names: Any, index: Any, record: SpotsRecord, column: str) -> None:
    """Check that each row can be assigned to a spot."""
    if not index.is_unique:
        twice = index[index.duplicated()]
        raise ValueError(
            f"spots={record.spots!r} has {len(twice)} names more than once, such as {twice[0]}; give each spot its own."
        )
    if missing := set(names) - set(index):
        where = f"sdata[{record.table!r}].obs[{column!r}]"
        if set(map(str, missing)) <= set(map(str, index)):
            kinds = type(next(iter(missing))).__name__, type(index[0]).__name__
            raise ValueError(
                f"table {record.table!r} names its spots by {kinds[0]}, the shapes {record.spots!r} by {kinds[1]}; write "
                f"{where} = {where}.astype(sdata[{record.spots!r}].index.dtype)."
            )
        raise ValueError(
            f"table {record.table!r} has {len(missing)} spots that are not in the shapes {record.spots!r}; "
            "keep both in step, for instance with spatialdata.match_table_to_element."
        )
    if names.duplicated().any():
        raise ValueError(
            f"table {record.table!r} has {int(names.duplicated().sum())} spots more than once in obs[{column!r}], such as "
            f"{names[names.duplicated()].iloc[0]}; a spot may have one row."
        )


def spot_aperture(sdata: SpatialData, record: SpotsRecord) -> Aperture:
    """What a spot of the section measures: a disc, or a bin where the spots are a grid's."""
    if record.spots in sdata.labels:
        return Square.of(labels_to_grid(sdata, record.spots))
    return Disc(record.spot_size)


def read_spots(sdata: SpatialData) -> tuple[NDArray[np.float64], Aperture]:
    """Centres (spots, 2) in µm of a section's spots, and what a spot measures."""
    facts = spots_record(sdata)
    return spot_positions(sdata, spots_table(sdata), facts), spot_aperture(sdata, facts)


def _features(sdata: SpatialData, key: str) -> Any:
    """(features, rows, cols) lazy array of a feature raster."""
    from xarray import DataArray

    if key not in sdata.images:
        raise KeyError(f"features={key!r} not found; sdata holds the images {', '.join(sdata.images) or 'none'}.")
    element = sdata.images[key]
    if not isinstance(element, DataArray):
        raise ValueError(f"features={key!r} has several scales, features have one; use stsr.pp.extract_features.")
    return element.data
