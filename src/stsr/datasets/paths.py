"""Where the real data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "STSR_DATA_DIR"
"""Environment variable that names the folder with the data sets."""


def path(*parts: str) -> Path:
    """Path of a file or folder below the data folder ``STSR_DATA_DIR``.

    Parameters
    ----------
    *parts
        Folders and file name, such as ``path("kidney", "visium")``; the data folder itself when there are none.

    Returns
    -------
    An existing path.

    Raises
    ------
    FileNotFoundError
        When ``STSR_DATA_DIR`` is not set or not a folder, or holds no such file; the message lists what is there.

    Examples
    --------
    >>> import os, tempfile, stsr
    >>> folder = tempfile.TemporaryDirectory()
    >>> os.environ["STSR_DATA_DIR"] = folder.name
    >>> stsr.datasets.path().name == os.path.basename(folder.name)
    True
    """
    setting = os.environ.get(VARIABLE)
    if not setting:
        raise FileNotFoundError(f"{VARIABLE} is not set; set it to the folder that holds the data sets.")
    here = Path(setting)
    if not here.is_dir():
        raise FileNotFoundError(
            f"{VARIABLE}={setting!r} is not a folder; set it to the folder that holds the data sets."
        )
    for part in Path(*parts).parts:
        if not (here / part).exists():
            there = ", ".join(sorted(p.name for p in here.iterdir())) if here.is_dir() else "it is a file"
            raise FileNotFoundError(
                f"{part!r} is not in {here} ({VARIABLE}={setting!r}); there is: {there or 'nothing'}."
            )
        here = here / part
    return here
