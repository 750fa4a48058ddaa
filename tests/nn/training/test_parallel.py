"""Work side by side: answers in order, cores shared and given back, and a failure ends it."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from stsr.nn.training.parallel import side_by_side

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")


@pytest.fixture(autouse=True)
def _four_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    assert torch.get_num_threads() == 4
    torch.set_num_threads(before)


def test_answers_come_in_order():
    def work(item):
        time.sleep(0.01 * (3 - item))
        return item**2

    assert side_by_side(work, iter(range(4)), device=CPU) == [0, 1, 4, 9]
    assert side_by_side(work, [], device=CPU) == []


@pytest.mark.parametrize(("items", "device", "cores"), [(2, CPU, 2), (4, CPU, 1), (9, CPU, 1), (3, ELSEWHERE, 4)])
def test_the_cores_are_shared(items, device, cores):
    assert side_by_side(lambda _: torch.get_num_threads(), range(items), device=device) == [cores] * items


def test_on_another_device_it_is_one_by_one():
    at_work, most = [], []

    def work(item):
        at_work.append(item)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.remove(item)

    side_by_side(work, range(5), device=ELSEWHERE)
    assert max(most) == 1


def test_after_a_failure_nothing_is_begun_and_what_runs_is_told():
    told, begun = threading.Event(), []

    def work(item):
        begun.append(item)
        if item == 0:
            raise ValueError("broken")
        assert told.wait(20)

    with pytest.raises(ValueError, match="broken"):
        side_by_side(work, range(100), device=CPU, at_end=told.set)
    assert len(begun) < 10
