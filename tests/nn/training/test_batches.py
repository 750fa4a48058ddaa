"""Every item is in one batch of an epoch, in an order that depends on the seed alone."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, arange
from torch.utils.data import DataLoader

from stsr.nn.training.batches import SectionBatches, SpotBatches, Turned, loader


@given(count=st.integers(1, 40), size=st.integers(1, 12), shuffle=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_spots_are_in_one_batch_of_every_epoch(count, size, shuffle, seed):
    batches = SpotBatches(count, size, shuffle=shuffle, seed=seed)
    for _ in range(2):
        epoch = list(batches)
        assert len(epoch) == len(batches) == -(-count // size)
        assert all(len(batch) == size for batch in epoch[:-1])
        assert sorted(chain(*epoch)) == list(range(count))


def test_orders_are_those_of_torchs_own_loader():
    """Over several epochs: what was trained with that loader is trained alike."""
    theirs = DataLoader(arange(23), batch_size=5, shuffle=True, generator=Generator().manual_seed(7))
    ours = loader(arange(23), SpotBatches(23, 5, shuffle=True, seed=7))
    for _ in range(3):
        assert [batch.tolist() for batch in ours] == [batch.tolist() for batch in theirs]


def test_seeds_and_epochs_differ():
    one, other = (SpotBatches(20, 20, shuffle=True, seed=seed) for seed in (0, 1))
    (first,), (second,), (elsewhere,) = one, one, other
    assert len({tuple(first), tuple(second), tuple(elsewhere)}) == 3


@given(sections=st.lists(st.sampled_from("ABCD"), min_size=1, max_size=30), shuffle=st.booleans())
def test_a_section_is_one_batch_in_its_own_order(sections, shuffle):
    batches = SectionBatches(sections, shuffle=shuffle, seed=3)
    epoch = list(batches)
    assert len(epoch) == len(batches) == len(set(sections))
    assert sorted(chain(*epoch)) == list(range(len(sections)))
    for batch in epoch:
        assert batch == sorted(batch)
        assert len({sections[spot] for spot in batch}) == 1


def test_the_order_of_sections_is_shuffled_if_asked():
    sections = [7, 1, 3, 5] * 2
    assert [sections[batch[0]] for batch in SectionBatches(sections, shuffle=False, seed=0)] == [1, 3, 5, 7]
    shuffled = SectionBatches(sections, shuffle=True, seed=0)
    orders = {tuple(sections[batch[0]] for batch in shuffled) for _ in range(10)}
    assert len(orders) > 3


def test_symmetries_are_drawn_evenly_item_by_item():
    batches = Turned(SpotBatches(200, 50, shuffle=True, seed=0), alike=False, seed=0)
    assert len(batches) == 4
    first, second = (dict(chain(*batches)) for _ in range(2))
    assert first.keys() == second.keys() == set(range(200))
    assert first != second
    drawn = Counter(list(first.values()) + list(second.values()))
    assert set(drawn) == set(range(8))
    assert min(drawn.values()) > 25  # of 50 expected


def test_a_section_is_turned_as_a_whole():
    batches = Turned(SectionBatches(["A", "B"] * 9, shuffle=True, seed=0), alike=True, seed=0)
    drawn = [{turn for _, turn in batch} for _ in range(6) for batch in batches]
    assert all(len(turns) == 1 for turns in drawn)
    assert len(set.union(*drawn)) > 3


@pytest.mark.parametrize("workers", [-1, 65, 1.5, True])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers):
    with pytest.raises(ValueError, match=f"workers={workers} is not allowed; pass a whole number from 0 to 64"):
        loader([1, 2], SpotBatches(2, 1, shuffle=False, seed=0), workers=workers)
