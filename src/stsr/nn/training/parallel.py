"""Parallel work in threads that share the cores of the processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    device: torch.device,
    at_end: Callable[[], object] = lambda: None,
) -> list[Result]:
    """``[work(item) for item in items]``, in parallel, one item per core; on a GPU, one after the other.

    Operations of small networks are too short to gain much from several cores each.

    Parameters
    ----------
    work, items
        A function, which must not use torch's global random generator, and its arguments.
    device
        Where torch computes.
    at_end
        Called when all items are done, or at the first failure or interruption, to stop the items that still run. No new
        item is started then.
    """
    items = list(items)
    cores = torch.get_num_threads()
    at_once = max(1, min(len(items), cores)) if device.type == "cpu" else 1
    with cores_each(cores // at_once), ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            at_end()
            pool.shutdown(cancel_futures=True)


@contextmanager
def cores_each(number: int) -> Iterator[None]:
    """Let torch use ``number`` cores in each thread that is started inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
