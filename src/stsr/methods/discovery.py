"""Import of all modules that register a method, so that no list of them is kept."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import get_data, iter_modules

MARK = b"@register"
"""The line before the class of a method."""


def import_methods(path: Iterable[str], package: str) -> list[str]:
    """Import the modules of the families in a package that register a method; returns their names, sorted.

    Only these are imported: other modules of a family import torch, which takes seconds. A module registers a method when
    its source has a line ``@register``. Families are the packages in ``package``.

    Parameters
    ----------
    path
        Where the modules of the package lie, its ``__path__``.
    package
        Its name.

    Examples
    --------
    >>> import stsr.methods
    >>> import_methods(stsr.methods.__path__, "stsr.methods")[:2]
    ['stsr.methods.baselines.feature_knn', 'stsr.methods.baselines.idw']
    """
    found = []
    for family in iter_modules(path):
        if family.ispkg:
            parts = [f"{part}/{family.name}" for part in path]
            names = [module.name for module in iter_modules(parts) if not module.ispkg]
            found += [f"{package}.{family.name}.{name}" for name in names if registers(package, family.name, name)]
    for module in sorted(found):
        import_module(module)
    return sorted(found)


def registers(package: str, family: str, module: str) -> bool:
    """Whether the source of a module has the line ``@register``."""
    return MARK in (get_data(package, f"{family}/{module}.py") or b"").splitlines()
