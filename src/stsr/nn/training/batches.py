"""Which items of a dataset make a batch, in what order, and the loader that reads them.

All random numbers are drawn here, in the process that trains, never in workers. So batches depend on the seed alone, and
not on the number of workers that read them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler

from stsr.nn.training.recipe import SYMMETRIES
from stsr.options import Whole

WORKERS = Whole(0, 64)
"""Processes that read batches."""


class SpotBatches(Sampler[list[int]]):
    """Batches of spots, in order or shuffled every epoch; the last one holds the rest.

    Parameters
    ----------
    count, size
        Number of spots, and of those in a batch.
    shuffle, seed
        Whether their order is random, and the seed of it.

    Examples
    --------
    >>> list(SpotBatches(5, 2, shuffle=False, seed=0))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, count: int, size: int, *, shuffle: bool, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        order = RandomSampler(range(count), generator=self.generator) if shuffle else SequentialSampler(range(count))
        self.batches = BatchSampler(order, size, drop_last=False)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        # DataLoader(shuffle=True, generator=...) draws a seed for its workers before each epoch's order. It is drawn here
        # too, so that the orders are those of torch's own loader, which models are trained with everywhere.
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        yield from self.batches


class SectionBatches(Sampler[list[int]]):
    """Batches that are sections: all spots of one, in order; the sections in order or shuffled every epoch.

    Parameters
    ----------
    sections
        (n,) section of each spot, by number or name.
    shuffle, seed
        Whether the order of the sections is random, and the seed of it.

    Examples
    --------
    >>> list(SectionBatches(["A", "B", "A"], shuffle=False, seed=0))
    [[0, 2], [1]]
    """

    def __init__(self, sections: ArrayLike, *, shuffle: bool, seed: int) -> None:
        sections = np.asarray(sections)
        self.spots = [np.flatnonzero(sections == section).tolist() for section in np.unique(sections)]
        self.order = SpotBatches(len(self.spots), 1, shuffle=shuffle, seed=seed)

    def __len__(self) -> int:
        return len(self.spots)

    def __iter__(self) -> Iterator[list[int]]:
        for (section,) in self.order:
            yield self.spots[section]


class Turned(Sampler[list[tuple[int, int]]]):
    """Batches whose items are asked for as (number, symmetry), with random symmetries of the square.

    Parameters
    ----------
    batches
        The batches.
    alike
        Whether all items of a batch are turned alike, as those of one section must be.
    seed
        Of the symmetries.

    Examples
    --------
    >>> batches = SpotBatches(4, 2, shuffle=False, seed=0)
    >>> [[number for number, symmetry in batch] for batch in Turned(batches, alike=False, seed=0)]
    [[0, 1], [2, 3]]
    """

    def __init__(self, batches: Sampler[list[int]], *, alike: bool, seed: int) -> None:
        self.batches, self.alike = batches, alike
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self.batches:
            drawn = torch.randint(SYMMETRIES, (1 if self.alike else len(batch),), generator=self.generator)
            yield list(zip(batch, drawn.expand(len(batch)).tolist(), strict=True))


def loader(data: Any, batches: Sampler[Any], *, workers: int = 0) -> DataLoader[Any]:
    """A loader of batches, from this process or from workers that live as long as it.

    Parameters
    ----------
    data
        A dataset whose items do not depend on random numbers; with workers, it is pickled.
    batches
        What makes a batch.
    workers
        Processes that read batches, 0 to 64. Like all that Python starts, they run a script's top level again, so
        in a script the training belongs under ``if __name__ == "__main__":``.

    Raises
    ------
    ValueError
        For a number of workers that is not allowed.

    Examples
    --------
    >>> [batch.tolist() for batch in loader([1.0, 2.0, 3.0], SpotBatches(3, 2, shuffle=False, seed=0))]
    [[1.0, 2.0], [3.0]]
    """
    workers = WORKERS("workers", workers)
    # A fork would copy the locks of the threads of torch and dask, and could wait for them for ever.
    methods = multiprocessing.get_all_start_methods()
    start = "forkserver" if "forkserver" in methods else "spawn"
    return DataLoader(
        data,
        batch_sampler=batches,
        num_workers=workers,
        multiprocessing_context=start if workers else None,
        persistent_workers=workers > 0,
        # It seeds the workers. Without it the loader would draw from torch's global generator, which dropout uses, and
        # as often as it starts workers.
        generator=torch.Generator().manual_seed(0),
    )
