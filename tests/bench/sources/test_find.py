"""Layouts of folders, and what is said of those that have none."""

from __future__ import annotations

import pytest

from stsr.bench.sources.find import find_sources
from stsr.bench.sources.legacy import LegacySection
from stsr.bench.sources.spots_and_bins import HD, SpotsAndBins
from stsr.bench.sources.synthetic import Synthetic


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with a section of either layout."""
    (tmp_path / "liver" / "visium").mkdir(parents=True)
    (tmp_path / "liver" / HD).mkdir(parents=True)
    (tmp_path / "tumour").mkdir()
    for name in (
        "A1.tsv.gz",
        "A1_selection.tsv",
        "A1.jpg",
        "A2.tsv",
        "A2_selection.tsv",
        "A3_selection.tsv",
        "notes.txt",
    ):
        (tmp_path / "tumour" / name).write_text(name)
    monkeypatch.setenv("STSR_DATA_DIR", str(tmp_path))
    return tmp_path


def test_a_folder_with_spots_and_bins_is_one_section(data):
    (source,) = find_sources("liver")
    assert source == SpotsAndBins("liver", "liver", data / "liver")
    assert source.has_truth
    (elsewhere,) = find_sources(str(data / "liver"))
    assert (elsewhere.name, elsewhere.folder) == ("liver", source.folder)


def test_genes_come_from_the_list_in_the_folder(data):
    (source,) = find_sources("liver")
    assert source.genes == 300
    (data / "liver" / "genes_20.txt").write_text("A\nB\n")
    assert source.genes == ["A", "B"]
    (data / "liver" / "genes_300.txt").write_text("C\n")
    assert source.genes == ["C"]


def test_a_legacy_folder_holds_a_section_for_every_table_of_counts(data):
    sources = find_sources("tumour")
    assert [source.name for source in sources] == ["tumour/A1", "tumour/A2"]
    assert not sources[0].has_truth
    assert [file.name for file in sources[0].files] == ["A1.jpg", "A1.tsv.gz", "A1_selection.tsv"]
    assert sources[0].dataset_id == "tumour_A1"
    assert find_sources("tumour/A2")[0].section == "A2"
    assert find_sources(str(data / "tumour" / "A2"))[0] == LegacySection(
        "tumour/A2", str(data / "tumour" / "A2"), data / "tumour", "A2"
    )


def test_the_image_of_the_spots_is_looked_for(data):
    (source,) = find_sources("liver")
    with pytest.raises(FileNotFoundError, match=r"visium holds no full-resolution H&E \(.tif, "):
        source.read(data / "store.zarr")


def test_the_synthetic_section_has_any_size():
    assert find_sources("synthetic:800") == [Synthetic("synthetic_800", "synthetic:800", 800.0)]
    for side in ("big", "", "0", "nan", "-800", "1e9"):
        with pytest.raises(
            ValueError, match=f"section='synthetic:{side}' has no side in µm after the colon, a number from"
        ):
            find_sources(f"synthetic:{side}")


def test_without_a_data_folder_the_section_is_named(data, monkeypatch):
    monkeypatch.delenv("STSR_DATA_DIR")
    with pytest.raises(
        FileNotFoundError, match="section='nope' is neither a folder here nor in STSR_DATA_DIR, nor 'synth"
    ):
        find_sources("nope")
    with pytest.raises(ValueError, match="section='' names no folder"):
        find_sources("")


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("brain", FileNotFoundError, "'brain' is not in .* there is: liver, tumour"),
        ("tumour/A9", FileNotFoundError, "section='tumour/A9' is neither a folder, .* which holds A1, A2"),
        ("liver/A1", FileNotFoundError, "section='liver/A1' is neither a folder, .* which holds none"),
        (
            "liver/visium",
            ValueError,
            "section='liver/visium' has no layout .* give the folder one of these: visium/ and visium_hd/",
        ),
    ],
)
def test_an_unknown_section_is_told_in_one_sentence(data, argument, error, message):
    with pytest.raises(error, match=message):
        find_sources(argument)
