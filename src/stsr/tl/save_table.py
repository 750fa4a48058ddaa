"""Save what was added to a table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from stsr.spatial import made, put, record

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)


def save_table(sdata: SpatialData, table: str = "sr_008um") -> str:
    """Write a table that stsr made back to the store of its section, with all that was added to it since.

    The table is written beside the old one, read back, and put in its place with one rename. This is the way to keep
    clusters or any other column of ``obs`` in a large table, whose matrices stay on disk: SpatialData's own way, which is
    to delete the element and write it again, would delete these matrices before they are copied.

    Parameters
    ----------
    sdata
        A section in a store.
    table
        Name of a table that stsr wrote, such as from :func:`stsr.tl.predict`, changed in ``sdata``.

    Returns
    -------
    The table's name. ``sdata[table]`` is then the table as read back; a variable that held it before is out of date, and
    raises an error where its matrices had stayed on disk.

    Raises
    ------
    KeyError
        When ``table`` is not in ``sdata``; the message lists what is.
    ValueError
        When ``sdata`` has no store, or stsr did not write the table.
    OSError
        When the table on disk was replaced after this one was read, or the disk is full; the store is as it was.

    Examples
    --------
    >>> import tempfile
    >>> import stsr
    >>> store = f"{tempfile.mkdtemp()}/section.zarr"
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0, store=store)
    >>> model = stsr.tl.fit_super_resolution(sdata, method="idw", genes=20)
    >>> sdata["sr_008um"].obs["cluster"] = "cortex"
    >>> stsr.tl.save_table(sdata, "sr_008um")
    'sr_008um'
    """
    held = getattr(sdata, "tables", {}).get(table)
    facts = record(sdata)  # this also reads what another job has written since
    if table not in sdata.tables:
        raise KeyError(f"table={table!r} not found; sdata holds the tables {', '.join(sdata.tables) or 'none'}.")
    if not sdata.is_backed():
        raise ValueError(
            f"section {facts.dataset_id!r} is in memory and has no store to save table={table!r} to; write all of it with "
            "sdata.write(path)."
        )
    origin = made(sdata, table)
    if origin is None:
        raise ValueError(
            f"table={table!r} is not one that stsr wrote; load it with sdata[{table!r}] = sdata[{table!r}].to_memory(), then "
            f"save it with sdata.delete_element_from_disk({table!r}) and sdata.write_element({table!r})."
        )
    if sdata.tables[table] is not held:
        raise OSError(
            f"table={table!r} was replaced in the store after this one was read, and sdata holds the newer one now, without "
            "what you had added; add it again and save it."
        )
    put(sdata, table, sdata.tables[table], overwrite=True, made=origin)
    logger.info("%s: saved %d rows x %d genes.", table, *sdata.tables[table].shape)
    return table
