"""``stsr bench``: arguments, errors in one sentence, and the whole way with one real child process."""

from __future__ import annotations

import pandas as pd
import pytest
from toys.bench import SECTION, in_this_process

from stsr.cli import main
from stsr.cli.bench import command_line, parse_methods, parse_seeds
from stsr.cli.main import parser
from stsr.methods import METHODS, create


def refused(capsys, *argv) -> str:
    """The one sentence of a command that fails."""
    assert main(list(map(str, argv))) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0].removeprefix("stsr: error: ")


def test_a_bench_writes_its_report_and_resumes(tmp_path, capsys, monkeypatch):
    args = ["bench", SECTION, "--methods", "nearest", "--genes", "4", "--out", str(tmp_path / "bench")]
    assert main(args) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "preparing synthetic_600, own image ..."
    assert told[1].startswith("[1/1] synthetic_600 truth nearest seed 0: ")
    names = {path.name for path in (tmp_path / "bench").iterdir()}
    assert {"report.md", "scores.parquet", "scores.csv", "summary.csv", "costs.csv", "bench.json", "costs.png"} <= names
    report = (tmp_path / "bench" / "report.md").read_text()
    assert "stsr bench synthetic:600 --methods nearest --seeds 0 --genes 4\n" in report
    assert "| nearest | 0." in report

    monkeypatch.setattr("stsr.bench.jobs.execute.spawn", in_this_process)
    args[args.index("nearest")] = "nearest,idw:power=3"
    assert main(args) == 0
    told = capsys.readouterr().out.splitlines()
    assert "[1/2] synthetic_600 truth nearest seed 0: there already" in told[0]
    assert told[1].startswith("[2/2] synthetic_600 truth idw:power=3 seed 0: ")
    scores = pd.read_parquet(tmp_path / "bench" / "scores.parquet")
    assert set(scores["method"]) == {"nearest", "idw:power=3"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--methods", "magic"), "method='magic' is not known; choose one of"),
        (("--methods", "idw,idw"), "method='idw' is named twice"),
        (("--methods", "idw:power"), "--option power is not of the form KEY=VALUE"),
        (("--settings", "guess"), "setting='guess' is not known; choose from truth, truth_80, shared_noise"),
        (
            ("--seeds", "0,one"),
            "--seeds=[0, 'one'] is not allowed; pass a list of 1 to 1000 items, each a whole number",
        ),
        (("--seeds", ""), "--seeds=[] is not allowed"),
        (("--seeds", "1,1"), "--seeds 1,1 lists a seed twice"),
        (("--seeds", "-1"), "--seeds=[-1] is not allowed"),
        (("--seeds", "4294967296"), "each a whole number from 0 to 4294967295"),
        (("--methods", ","), "--methods ',' names no method"),
        (("--settings", ""), "--settings '' names no setting; choose from truth, truth_80, shared_noise"),
        (("--settings", "truth,truth"), "setting='truth' is named twice"),
        (("--genes", "0"), "--genes=0 is not allowed; pass how many"),
        (("--encoder", "magic"), "encoder='magic' is not known"),
        (("--encoder", ""), "encoder='' is not known"),
        (("--device", "cuda:99"), "device='cuda:99' is not available"),
        (("--methods", "idw", "--option", "idw.power=two"), "power='two' is not allowed; pass a number"),
        (("--methods", "idw", "--option", "idw.power=2", "--option", "idw.power=3"), "--option power is given twice"),
        (("--methods", "stack:methods=[idw,magic]"), "methods lists 'magic', which cannot be stacked"),
        (("--option", "power=2"), "--option power=2 is not of the form METHOD.KEY=VALUE"),
        (("--methods", "idw", "--option", "ridge.alpha=2"), "--option ridge"),
        (("--genes", "nowhere.txt"), "--genes nowhere.txt is neither a number"),
    ],
)
def test_bad_input_is_told_in_one_sentence(tmp_path, capsys, more, message):
    assert message in refused(capsys, "bench", SECTION, "--out", tmp_path / "bench", *more)
    assert not (tmp_path / "bench").exists()


def test_a_folder_of_no_known_layout_is_told(tmp_path, capsys):
    assert "has no layout that the bench knows; give the folder one of these: visium/" in refused(
        capsys, "bench", tmp_path
    )


def test_methods_and_options_are_read():
    assert [entry.label for entry in parse_methods("all", [])] == list(METHODS)
    plain, other = parse_methods("idw,idw:power=3:neighbours=4", ["idw.neighbours=5"])
    assert (plain.label, plain.method, plain.options) == ("idw", "idw", {"neighbours": 5})
    assert (other.label, other.options) == ("idw:power=3:neighbours=4", {"neighbours": 4, "power": 3})
    assert parse_seeds("0,2,7") == [0, 2, 7]


def test_options_that_are_lists_can_be_given():
    stack, idw, net = parse_methods("stack:methods=[idw, linear]:folds=3,idw,cross_attention:read=[64,32]", [])
    assert stack.options == {"methods": ["idw", "linear"], "folds": 3}
    assert create(stack.method, stack.options).config.methods == ("idw", "linear")
    assert idw.label == "idw"
    assert create(net.method, net.options).config.read == (64, 32)
    (shared,) = parse_methods("stack", ["stack.methods=idw,linear"])
    assert shared.options == {"methods": ["idw", "linear"]}


def test_the_command_told_makes_the_same_bench():
    words = [
        "bench",
        "a b",
        "her2st",
        "--methods",
        "idw",
        "--seeds",
        "0,1",
        "--option",
        "idw.power=3",
        "--device",
        "cpu",
    ]
    told = command_line(parser().parse_args([*words, "--out", "somewhere", "--quiet"]))
    assert told == "stsr bench 'a b' her2st --methods idw --seeds 0,1 --device cpu --option idw.power=3"
