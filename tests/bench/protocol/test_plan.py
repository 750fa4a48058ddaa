"""What a plan holds, and what makes a result out of date."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toys.bench import NAME, SECTION, small_plan

from stsr.bench.protocol.plan import Entry, make_plan
from stsr.bench.protocol.settings import SETTINGS
from stsr.bench.sources.find import find_sources
from stsr.bench.sources.legacy import LegacySection


@pytest.fixture
def legacy(tmp_path):
    (tmp_path / "A_selection.tsv").write_text("")
    return LegacySection("tumour/A", "tumour/A", tmp_path, "A")


def test_the_plan_is_the_product_with_the_first_seed_first(legacy):
    entries = [Entry("nearest", "nearest"), Entry("idw:power=3", "idw", {"power": 3})]
    plan = make_plan([*find_sources(SECTION), legacy], entries, settings=["truth", "random_half"], seeds=(0, 5))
    keys = [run.key for run in plan.runs]
    assert len(keys) == len(set(keys)) == 2 * (2 + 1) * 2
    assert keys[:2] == [f"{NAME}/truth/nearest/seed0", f"{NAME}/truth/idw:power=3/seed0"]
    assert "tumour/A/random_half/nearest/seed5" in keys
    assert not any(key.startswith("tumour/A/truth") for key in keys)
    assert [run.seed for run in plan.runs] == [0] * 6 + [5] * 6


def test_a_section_is_put_to_its_usual_settings(legacy):
    plan = make_plan([*find_sources(SECTION), legacy], [Entry("idw", "idw")])
    assert [(run.section, run.setting) for run in plan.runs] == [
        (NAME, "truth"),
        ("tumour/A", "random_half"),
        ("tumour/A", "blocked"),
    ]


@pytest.fixture
def folder(tmp_path):
    """Three legacy sections, not yet to be read."""
    for section in "ABC":
        (tmp_path / f"{section}_selection.tsv").write_text(section)
        (tmp_path / f"{section}.tsv").write_text(section)
    return tmp_path


def test_a_section_of_a_folder_is_predicted_from_the_others(folder):
    entries = [Entry("idw", "idw"), Entry("ridge", "ridge")]
    plan = make_plan(find_sources(str(folder)), entries, settings=["transfer"])
    assert [(run.section[-1], run.entry.label, [name[-1] for name in run.trained_on]) for run in plan.runs] == [
        ("A", "ridge", ["B", "C"]),
        ("B", "ridge", ["A", "C"]),
        ("C", "ridge", ["A", "B"]),
    ]
    assert plan.need_spots == ("idw",)


def test_a_section_alone_is_predicted_from_its_folder(folder):
    plan = make_plan(find_sources(str(folder / "B")), [Entry("ridge", "ridge")])
    assert [run.setting for run in plan.runs] == ["random_half", "blocked", "transfer"]
    assert [run.trained_on != () for run in plan.runs] == [False, False, True]
    assert len(plan.sources) == 1
    for name, other in plan.others.items():
        assert [source.name for source in find_sources(other.argument)] == [name]
    before = [plan.fingerprint(run) for run in plan.runs]
    (folder / "C.tsv").write_text("other counts")
    again = make_plan(find_sources(str(folder / "B")), [Entry("ridge", "ridge")])
    assert [again.fingerprint(run) == old for run, old in zip(again.runs, before, strict=True)] == [True, True, False]


def test_a_section_in_a_folder_of_its_own_is_not_put_to_transfer(legacy):
    for sources, entry in ((find_sources(SECTION), "ridge"), ([legacy], "ridge")):
        with pytest.raises(ValueError, match="settings=transfer leave nothing to run: .*transfer other sections"):
            make_plan(sources, [Entry(entry, entry)], settings=["transfer"])


def test_controls_score_the_truth_where_there_is_one():
    for name in ("shuffled_image", "shuffled_labels"):
        assert SETTINGS[name].hides(has_truth=True) is None
        assert SETTINGS[name].hides(has_truth=False) is SETTINGS["random_half"].split
    assert not SETTINGS["truth"].applies(has_truth=False)
    assert SETTINGS["blocked"].hides(has_truth=True) is SETTINGS["blocked"].split


def test_a_fingerprint_follows_everything_a_score_depends_on(monkeypatch):
    plan = small_plan("idw")
    (run,) = plan.runs
    print_ = plan.fingerprint(run)
    assert small_plan("idw").fingerprint(run) == print_
    others = [
        small_plan("idw", genes=7).fingerprint(run),
        small_plan("idw", encoder="uni").fingerprint(run),
        small_plan("idw", device="cpu").fingerprint(run),
        plan.fingerprint(replace(run, seed=1)),
        plan.fingerprint(replace(run, entry=Entry("idw", "idw", {"power": 3}))),
        plan.fingerprint(replace(run, setting="blocked")),
        plan.fingerprint(replace(run, setting="shuffled_image")),
    ]
    monkeypatch.setattr("stsr.bench.protocol.plan.versions", lambda: {"torch": "9"})
    others.append(small_plan("idw").fingerprint(run))
    monkeypatch.setattr("stsr.bench.protocol.plan.run_code", lambda method: "other code")
    others.append(small_plan("idw").fingerprint(run))
    assert len({print_, *others}) == 1 + len(others)


def test_the_data_of_a_section_count(legacy):
    (run,) = make_plan([legacy], [Entry("idw", "idw")], settings=["blocked"]).runs
    before = make_plan([legacy], [Entry("idw", "idw")]).fingerprint(run)
    (legacy.folder / "A_selection.tsv").write_text("x")
    assert make_plan([legacy], [Entry("idw", "idw")]).fingerprint(run) != before


@pytest.mark.parametrize(
    ("entries", "more", "message"),
    [
        ([Entry("magic", "magic")], {}, "method='magic' is not known; choose one of"),
        ([Entry("idw", "idw", {"spell": 1})], {}, "method 'idw' has no option 'spell'"),
        ([Entry("idw", "idw")] * 2, {}, "method='idw' is named twice"),
        ([Entry("idw", "idw")], {"settings": ["truth", "guess"]}, "setting='guess' is not known; choose from truth, "),
    ],
)
def test_what_is_not_known_is_refused(entries, more, message):
    with pytest.raises(ValueError, match=message):
        make_plan(find_sources(SECTION), entries, **more)


def test_a_plan_without_runs_is_refused(legacy):
    with pytest.raises(ValueError, match="settings=truth leave nothing to run: truth needs true bins.*for tumour/A"):
        make_plan([legacy], [Entry("idw", "idw")], settings=["truth"])
