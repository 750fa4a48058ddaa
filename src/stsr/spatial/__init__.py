"""The glue to SpatialData: frames, records, and crash-safe writing."""

from stsr.spatial.columns import gene_positions, read_columns
from stsr.spatial.frames import transformations, um_affine
from stsr.spatial.grid import grid_to_labels, labels_to_grid
from stsr.spatial.raster import image_pyramid, read_raster
from stsr.spatial.record import Record, SpotsRecord, made, note, record, set_record, spots_record
from stsr.spatial.section import raw_counts, read_section, read_spots, spot_aperture, spot_positions, spots_table
from stsr.spatial.store import create_store, open_store, put, recover

__all__ = [
    "Record",
    "SpotsRecord",
    "create_store",
    "gene_positions",
    "grid_to_labels",
    "image_pyramid",
    "labels_to_grid",
    "made",
    "note",
    "open_store",
    "put",
    "raw_counts",
    "read_columns",
    "read_raster",
    "read_section",
    "read_spots",
    "record",
    "recover",
    "set_record",
    "spot_aperture",
    "spot_positions",
    "spots_record",
    "spots_table",
    "transformations",
    "um_affine",
]
