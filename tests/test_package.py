"""The package as a whole: what importing it costs, which way its rooms import, what it calls public."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import stsr

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROOMS = ("pp", "tl", "pl", "datasets", "metrics")
HEAVY = {
    "lightning",
    "matplotlib",
    "scanpy",
    "spatialdata",
    "squidpy",
    "timm",
    "torch",
    "torch_geometric",
    "torchvision",
}


def top_level_modules(code: str) -> set[str]:
    """Names of the top-level modules that are loaded after ``code`` has run in a fresh interpreter."""
    return set(child(f"import json, sys\n{code}\nprint(json.dumps([m for m in sys.modules if '.' not in m]))"))


def child(code: str) -> Any:
    """Run ``code`` in a fresh interpreter; it prints JSON."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "module", ["stsr", "stsr.cli", "stsr.options", "stsr.arguments", "stsr.gene_list", "stsr.nn.training.device"]
)
def test_import_loads_nothing_but_the_standard_library(module):
    before, after = top_level_modules(""), top_level_modules(f"import {module}")
    assert after - before - set(sys.stdlib_module_names) == {"stsr"}


@pytest.mark.parametrize("room", ROOMS)
def test_heavy_libraries_wait_for_the_function_that_needs_them(room):
    assert not HEAVY & top_level_modules(f"import stsr.{room}")


def test_version_is_the_one_of_the_project_file():
    assert stsr.__version__ == PROJECT["version"]
    assert f"## [{stsr.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_library_that_is_imported_is_declared():
    declared = {re.split("[><=]", need)[0] for need in PROJECT["dependencies"]}
    distributions = metadata.packages_distributions()
    imported = {name for file in (ROOT / "src").rglob("*.py") for name in imports(file)}
    for name in imported - set(sys.stdlib_module_names) - {"stsr"}:
        assert declared & {known.lower().replace("_", "-") for known in distributions[name]}, name


def imports(file: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_top_level_names_are_found_and_others_refused():
    assert {*ROOMS, "__version__"} <= set(dir(stsr))
    with pytest.raises(AttributeError, match=r"'stsr' has no attribute 'xx'; it has .*metrics"):
        stsr.xx  # noqa: B018


def test_rooms_import_one_way_only():
    # In a process of its own: import-linter turns off the loggers that exist.
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("folder", ["src/stsr", "benchmarks"])
def test_no_room_imports_what_is_private_to_another(folder):
    foreign = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in (ROOT / folder).rglob("*.py")
        for name in private_names(file)
        if room_of(file) != name.split(".")[1]
    ]
    assert not foreign


def private_names(file: Path) -> Iterator[str]:
    """Modules and names of stsr with an underscore that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if re.match(r"stsr\..*\b_(?!_)", name))


def room_of(file: Path) -> str:
    """The first part of the path within the package; empty outside of it."""
    package = ROOT / "src" / "stsr"
    return file.relative_to(package).with_suffix("").parts[0] if file.is_relative_to(package) else ""


def test_private_names_are_seen(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(
        "import stsr.pp._reading\nfrom stsr import __version__\nfrom stsr.tl import a_b\n"
        "def f():\n    from stsr.pl._frame import Frame\n    from stsr.tl.fitting import _hidden, fit\n"
    )
    assert set(private_names(file)) == {"stsr.pp._reading", "stsr.pl._frame.Frame", "stsr.tl.fitting._hidden"}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_exists_and_is_in_the_api_page(room):
    module = importlib.import_module(f"stsr.{room}")
    page = (ROOT / "docs" / "api.md").read_text().split()
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name).__doc__, name
        assert f"{room}.{name}" in page, name
