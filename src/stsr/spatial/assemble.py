"""A section in memory, put together from tables, an image and a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import REGION, SPATIAL
from stsr.spatial.raster import image_pyramid
from stsr.spatial.record import Record, set_record

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

SPOT_ID = "spot_id"
"""``obs`` column that ties a table's rows to the discs of the spots, as in sections from Space Ranger."""


def annotate(table: AnnData, region: str, instance_key: str) -> AnnData:
    """The table as an annotation of an element, by the numbers that it has in ``obs[instance_key]``."""
    import pandas as pd
    from spatialdata.models import TableModel

    table.uns.pop("spatialdata_attrs", None)
    table.obs[REGION] = pd.Categorical([region] * table.n_obs)
    return TableModel.parse(table, region=region, region_key=REGION, instance_key=instance_key)


def circles(xy: NDArray[np.float64], radius: float, index: Any, dataset_id: str) -> Any:
    """The shapes element of spots at (spots, 2) pixels, with the radius in pixels and the given index."""
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    return ShapesModel.parse(xy, geometry=0, radius=radius, index=index, transformations={dataset_id: Identity()})


def disc_spots(table: AnnData, dataset_id: str, *, radius: float) -> SpatialData:
    """The spots of a section: ``table``, and the discs called ``dataset_id`` that it annotates.

    Centres are in ``obsm["spatial"]`` and the radius is given, both in full-resolution pixels. Spots keep the numbers
    that they have in ``obs["spot_id"]``, and get some where they have none.
    """
    import pandas as pd
    from spatialdata import SpatialData

    if SPOT_ID not in table.obs:
        table.obs[SPOT_ID] = np.arange(table.n_obs)
    index = pd.Index(table.obs[SPOT_ID], name=SPOT_ID)
    return SpatialData(
        shapes={dataset_id: circles(table.obsm[SPATIAL], radius, index, dataset_id)},
        tables={"table": annotate(table, dataset_id, SPOT_ID)},
    )


def complete(sdata: SpatialData, pixels: Any, record: Record) -> None:
    """Add the full-resolution image, (3, y, x) lazy pixels, and the record to the elements of a section in memory.

    All are registered in the section's coordinate system already, pixels of the image, and here in ``"global"`` too,
    because plotting needs it.
    """
    from spatialdata.transformations import Identity, get_transformation, set_transformation

    sdata[record.image] = image_pyramid(pixels, {record.coordinate_system: Identity()})
    for _, _, element in sdata.gen_spatial_elements():
        set_transformation(element, get_transformation(element, record.coordinate_system), "global")
    set_record(sdata, record)
