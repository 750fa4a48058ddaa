"""Work done side by side, in threads that share the cores of the processor."""

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
    """``[work(item) for item in items]``, one item on each core; on another device than the processor, one by one.

    The operations of small networks are too short for several cores to gain much on one of them.

    Parameters
    ----------
    work, items
        Work, which must not draw from torch's common source of random numbers, and what it is done on.
    device
        Where torch computes.
    at_end
        Called when all is done, or at the first failure or interruption: tells what is still at work that it may stop.
        Nothing new is begun then.
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
    """Give threads that are started inside the block so many cores each."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
