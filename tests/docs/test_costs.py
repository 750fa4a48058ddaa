"""Costs come from the benchmark's tables, without its controls."""

from __future__ import annotations

import json

from costs import Cost, costs, duration

from stsr.methods import METHODS

HEAD = "section,setting,method,seed,seconds,published_seconds,peak_gb,given,hidden,error\n"


def write(folder, runs, sections):
    folder.mkdir()
    (folder / "costs.csv").write_text(HEAD + runs)
    facts = {name: dict(zip(("spots", "cells", "genes"), values, strict=True)) for name, values in sections.items()}
    (folder / "bench.json").write_text(json.dumps({"sections": facts}))


def test_medians_and_the_largest_memory_of_a_method(tmp_path):
    runs = "kidney,truth,net,0,10,,1.5,,,\nkidney,truth,net,1,30,700,2.5,,,\nkidney,truth,net,2,20,900,2.0,,,\n"
    write(tmp_path / "kidney", runs + "kidney,truth,net:a=1,0,99,,9.9,,,\n", {"kidney": (100, 2000, 30)})
    write(tmp_path / "kidney-shuffled", "kidney,shuffled_image,net,0,99,,9.9,,,\n", {"kidney": (100, 2000, 30)})
    write(tmp_path / "legs", "legs/A,blocked,net,0,5,,0.5,,,\nlegs/B,blocked,net,0,,,,,,broken\n", {
        "legs/A": (10, 100, 3), "legs/B": (20, 300, 3), "legs/C": (30, 200, 3),
    })  # fmt: skip
    assert list(costs("net", tmp_path)) == [
        Cost("kidney", 100, 2000, 30, 20.0, 800.0, 2.5),
        Cost("legs", 20, 200, 3, 5.0, None, 0.5),
    ]
    assert list(costs("other", tmp_path)) == []


def test_the_committed_tables_are_read():
    known = [cost for name in METHODS for cost in costs(name)]
    assert {"kidney", "her2st"} <= {cost.section for cost in known}
    assert all(cost.seconds > 0 and cost.memory > 0 and cost.cells > cost.spots for cost in known)


def test_durations():
    assert [duration(seconds) for seconds in (0.4, 89, 90, 5399, 5400)] == ["0 s", "89 s", "2 min", "90 min", "2 h"]
