"""Digest of the code that a result depends on: the modules that are imported, without comments and docstrings."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from stsr.bench.fingerprint import digest

SOURCE = Path(__file__).parents[2]
"""Folder that holds the package."""

WITHOUT_INFLUENCE = ("stsr.pl", "stsr.cli", "stsr.bench.jobs.maps")
"""Modules that only draw or print, and change no score."""

REGISTER = "stsr.methods"
"""Imports every method. A run depends only on its own method, so imports of this package are not followed."""

ANY_METHOD = "stsr.methods.base.METHODS"
"""A method that imports this can use any other method, as ``stack`` does, and so depends on the code of all."""


def code_digest(*modules: str, source: Path = SOURCE) -> str:
    """Digest of modules and of all modules of stsr that they import, also inside functions.

    Comments, docstrings and layout do not count. Other methods count only where one can use them.

    Examples
    --------
    >>> code_digest("stsr.methods.baselines.idw") == code_digest("stsr.methods.baselines.nearest")
    False
    """
    from stsr.methods import METHODS

    reached: set[Path] = set()
    todo = list(modules)
    while todo:
        file = _file(todo.pop(), source)
        if file is not None and file not in reached:
            reached.add(file)
            imported = _read(file)[1]
            todo.extend(imported)
            if ANY_METHOD in imported:
                todo.extend(method.__module__ for method in METHODS.values())
    return digest(*sorted((file.relative_to(source).as_posix(), _read(file)[0]) for file in reached))


def run_code(method: str) -> str:
    """Digest of the code that fits and scores a method."""
    from stsr.methods import METHODS

    return code_digest("stsr.bench.jobs.measure", METHODS[method].__module__)


def _read(file: Path) -> tuple[str, tuple[str, ...]]:
    """Digest of a file's code without docstrings and layout, and the modules of stsr that it may import."""
    return _parsed(file, file.stat().st_mtime_ns)


@cache
def _parsed(file: Path, changed: int) -> tuple[str, tuple[str, ...]]:
    """As :func:`_read`; a file is parsed once until it is changed."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, name, None), list):
                setattr(node, name, [statement for statement in statements if not _is_text(statement)])
    meaning = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return meaning, tuple(name for name in _import_names(tree) if name == "stsr" or name.startswith("stsr."))


def _is_text(statement: ast.AST) -> bool:
    """Whether a statement is a bare string, which is how docstrings are written."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _import_names(tree: ast.Module) -> Iterator[str]:
    """Dotted names of modules that may be imported: of ``from a import b``, both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(module: str, source: Path) -> Path | None:
    """File of a module; None when there is no such module or it has no influence."""
    if module == REGISTER or any(module == room or module.startswith(f"{room}.") for room in WITHOUT_INFLUENCE):
        return None
    stem = source.joinpath(*module.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)
