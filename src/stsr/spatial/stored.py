"""Arrays of a table that stay on disk, read only as long as they are the ones that were opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class StoredArray:
    """A zarr array as dask slices it, which raises once its file was deleted, moved or replaced.

    Zarr itself then reads zeros, or the values of whatever lies there now.

    Parameters
    ----------
    array
        The zarr array, in a folder of this machine.
    path
        That folder.
    """

    def __init__(self, array: Any, path: Path) -> None:
        self.array, self.path = array, path.absolute()
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: DTypeLike = array.dtype
        self.ndim = len(self.shape)
        self.opened = self._stamp()

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part.

        Raises
        ------
        OSError
            When the array is not there any more, or another one is.
        """
        self._check()
        values = np.asarray(self.array[key])
        self._check()  # it may have gone meanwhile, and what was left of it been read
        return values

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Token that identifies the array, also against a later one of its name."""
        return type(self).__name__, str(self.path), self.opened

    def _stamp(self) -> tuple[int, ...]:
        """When the array was made: every array has a file that is written once, then."""
        stat = (self.path / "zarr.json").stat()
        return stat.st_mtime_ns, stat.st_size

    def _check(self) -> None:
        try:
            same = self._stamp() == self.opened
        except (FileNotFoundError, NotADirectoryError):
            same = False
        if not same:
            table, store = self.path, self.path
            while store.parent != store and store.name != "tables":
                table, store = store, store.parent
            raise OSError(
                f"table {table.name!r} of store={str(store.parent)!r} was replaced, moved or deleted after it was opened, "
                "and its values had stayed on disk; open the store again. To save a table in place, use "
                "stsr.tl.save_table."
            )


def lazy(array: Any, path: Path) -> Any:
    """A dask array over a zarr array in a folder of this machine, in its chunks."""
    import dask.array as da

    return da.from_array(StoredArray(array, path), chunks=array.chunks, meta=np.empty((0,) * array.ndim, array.dtype))
