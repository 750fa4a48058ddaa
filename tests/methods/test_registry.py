"""The register: how methods come into it, and how they are made by name."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys.methods import QUIET, own_section, predict

import stsr.methods
from stsr.methods import METHODS, create, register
from stsr.methods.baselines.idw import Idw
from stsr.methods.discovery import import_methods
from stsr.tl import Model

ROOM = Path(stsr.methods.__file__).parent

FAMILY = '''
from typing import ClassVar

from stsr.methods import MethodInfo, register
from stsr.methods.baselines.idw import Idw


@register
class Found(Idw):
    """A method in a file."""

    info: ClassVar = MethodInfo("found", "Found by its file", "none", 2026)
'''


def test_every_file_with_a_method_is_found():
    files = [file for file in ROOM.glob("*/*.py") if "@register" in file.read_text().splitlines()]
    assert len(files) == len(METHODS)
    assert {Path(sys.modules[kind.__module__].__file__) for kind in METHODS.values()} == set(files)


def test_a_new_method_is_one_file_and_files_without_one_are_not_imported(tmp_path, monkeypatch):
    family = tmp_path / "house" / "new_family"
    family.mkdir(parents=True)
    for folder in (tmp_path / "house", family):
        (folder / "__init__.py").touch()
    (family / "found.py").write_text(FAMILY)
    (family / "helper.py").write_text("raise RuntimeError('no method in here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        import house

        assert import_methods(house.__path__, "house") == ["house.new_family.found"]
        assert METHODS["found"].__module__ == "house.new_family.found"
    finally:
        METHODS.pop("found", None)


def test_a_model_of_a_third_party_is_saved_and_found_again(tmp_path):
    class Theirs(Idw):
        """A method that is no part of stsr."""

        info = replace(Idw.info, name="theirs")

    try:
        method = create(register(Theirs).info.name, {"neighbours": 3}).fit(own_section(), seed=0, training=QUIET)
        path = Model(method, own_section().genes, 16.0, None, seed=0).save(tmp_path / "theirs.safetensors")
        back = Model.load(path).method
        assert type(back) is Theirs
        np.testing.assert_array_equal(predict(back, own_section()).mean, predict(method, own_section()).mean)
    finally:
        METHODS.pop("theirs", None)
    with pytest.raises(ValueError, match="holds no valid model: method='theirs' is not known; choose one of"):
        Model.load(path)


def test_options_reach_the_config():
    assert create("idw", {"neighbours": 3}).config.neighbours == 3


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"method='kringing' is not known; choose one of .*idw, istar, kriging, linear, nearest"
    ):
        create("kringing")
    with pytest.raises(ValueError, match="method 'idw' has no option 'neighbors'; it has neighbours, power"):
        create("idw", {"neighbors": 3})
    with pytest.raises(ValueError, match="method 'nearest' has no option 'k'; it has none"):
        create("nearest", {"k": 3})


def test_registering_the_methods_imports_no_torch():
    code = "import sys, stsr.methods; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
