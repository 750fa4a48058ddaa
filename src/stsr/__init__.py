"""Spatial transcriptomics super-resolution: expression on a fine grid from spots and their H&E image.

``pp`` prepares a section, ``tl`` fits, predicts and scores, ``pl`` draws, ``datasets`` makes and finds sections, and
``metrics`` holds the scores as plain functions of arrays. Each is imported when it is first used, so that
``import stsr`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stsr import datasets, metrics, pl, pp, tl

    __version__: str

__all__ = ["__version__", "datasets", "metrics", "pl", "pp", "tl"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("stsr")
    if name in __all__:
        return importlib.import_module(f"stsr.{name}")
    raise AttributeError(f"module 'stsr' has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
