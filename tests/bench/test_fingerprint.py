"""What changes a fingerprint, and what does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stsr.bench.fingerprint import digest, digest_of_files, versions
from stsr.bench.source_code import SOURCE, code_digest, run_code
from stsr.methods import METHODS


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the package."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(SOURCE / "stsr", folder / "stsr", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def copy(copied):
    """The copy, put in order again after a test has edited it."""
    yield copied
    for path, text in EDITED.items():
        path.write_text(text)
    EDITED.clear()


EDITED: dict[Path, str] = {}


def edit(copy, file, old, new):
    path = copy / "stsr" / file
    text = path.read_text()
    assert old in text
    EDITED[path] = text
    path.write_text(text.replace(old, new, 1))


def of(method, copy):
    return code_digest("stsr.bench.jobs.measure", METHODS[method].__module__, source=copy)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("methods/shared/spot_weights.py", "TOUCHING = 1e-3", "TOUCHING = 1e-2"),
        ("methods/baselines/idw.py", "import annotations", "import annotations\n\nX = 1"),
        ("metrics/correlation.py", "np.sqrt(", "np.abs("),
        ("geometry/footprint.py", "subsamples: int = 5", "subsamples: int = 7"),
        ("bench/protocol/splits.py", "BUFFER = 1.5", "BUFFER = 2.5"),
        ("tl/_bands.py", "max(CHUNKS", "min(CHUNKS"),
    ],
)
def test_code_that_matters_changes_the_digest(copy, file, old, new):
    before = of("idw", copy)
    edit(copy, file, old, new)
    assert of("idw", copy) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("methods/baselines/idw.py", '"""Inverse-distance weighting."""', '"""Other words."""'),
        ("methods/shared/spot_weights.py", "TOUCHING = 1e-3", "# a comment\nTOUCHING  =  1e-3"),
        ("methods/baselines/ridge.py", "import annotations", "import annotations\n\nX = 1"),
        ("methods/__init__.py", "import annotations", "import annotations\n\nX = 1"),
        ("pl/compare.py", "import annotations", "import annotations\n\nX = 1"),
        ("bench/report/page.py", "import annotations", "import annotations\n\nX = 1"),
    ],
)
def test_words_other_methods_and_pictures_do_not(copy, file, old, new):
    if old not in (copy / "stsr" / file).read_text():
        old, new = "from stsr", "import json\nfrom stsr"
    before = of("idw", copy)
    edit(copy, file, old, new)
    assert of("idw", copy) == before


def test_a_method_depends_on_what_it_imports_inside_its_functions(copy):
    before = of("cross_attention", copy), of("idw", copy)
    edit(copy, "nn/networks/cross_attention.py", "import annotations", "import annotations\n\nX = 1")
    assert of("cross_attention", copy) != before[0]
    assert of("idw", copy) == before[1]


@pytest.mark.parametrize("member", ["baselines/linear", "baselines/nearest", "super_resolution/istar"])
def test_a_stack_depends_on_whatever_it_may_be_made_of(copy, member):
    before = of("stack", copy), of("idw", copy)
    edit(copy, f"methods/{member}.py", "import annotations", "import annotations\n\nX = 1")
    assert of("stack", copy) != before[0]
    assert of("idw", copy) == before[1]


def test_methods_differ_and_the_copy_agrees(copy):
    assert run_code("idw") != run_code("nearest")
    assert of("idw", copy) == run_code("idw")


def test_names_and_contents_of_files_count(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("1")
    assert digest_of_files([a]) != digest_of_files([b])
    before = digest_of_files([a])
    a.write_text("2")
    assert digest_of_files([a]) != before


def test_the_order_of_options_does_not_count():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert {"python", "stsr", "torch", "numpy", "timm", "torchvision", "torchstain", "torch-geometric"} <= set(
        versions()
    )
