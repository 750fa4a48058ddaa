"""datasets.path: one setting for the real data, with errors that say what to do."""

from __future__ import annotations

import pytest

import stsr


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "kidney" / "visium").mkdir(parents=True)
    (tmp_path / "kidney" / "genes.txt").write_text("UMOD\n")
    monkeypatch.setenv("STSR_DATA_DIR", str(tmp_path))
    return tmp_path


def test_parts_and_one_string_lead_to_the_same_place(data):
    assert stsr.datasets.path() == data
    assert stsr.datasets.path("kidney", "visium") == data / "kidney" / "visium"
    assert stsr.datasets.path("kidney/genes.txt").read_text() == "UMOD\n"


def test_missing_setting_names_the_variable(monkeypatch):
    monkeypatch.delenv("STSR_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match=r"^STSR_DATA_DIR is not set; set it to the folder"):
        stsr.datasets.path("kidney")


def test_setting_that_is_no_folder_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("STSR_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere' is not a folder"):
        stsr.datasets.path()


def test_missing_file_lists_what_is_there(data):
    with pytest.raises(FileNotFoundError, match=r"'liver' is not in .*; there is: kidney\.$"):
        stsr.datasets.path("liver")
    with pytest.raises(FileNotFoundError, match=r"'xenium' is not in .*kidney.*; there is: genes\.txt, visium\.$"):
        stsr.datasets.path("kidney", "xenium", "deeper")
    with pytest.raises(FileNotFoundError, match=r"there is: it is a file"):
        stsr.datasets.path("kidney", "genes.txt", "deeper")
