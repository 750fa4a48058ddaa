"""The default method: how it is trained, that it repeats itself, and what leaves nothing to learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys.attention import QUIET, SMALL, prepared, whole
from toys.section import toy_section

from stsr.methods import create
from stsr.methods.cross_attention import training
from stsr.methods.cross_attention.training import training_task
from stsr.methods.shared.requirements import whole_spots as whole_spots_of


@pytest.fixture(scope="module")
def toy():
    return toy_section()


def networks_of(method, tissue):
    """The networks of a method for the genes and cells of a section."""
    return method.architecture(len(tissue.section.genes), tissue.section.grid.bin_size)


def test_same_seed_same_model(toy):
    one, again, other = (
        create("cross_attention", {**SMALL, "steps": 20, "image_steps": 20}).fit(toy.section, seed=seed, training=QUIET)
        for seed in (0, 0, 1)
    )
    assert again.arrays.keys() == one.arrays.keys()
    assert all(np.array_equal(again.arrays[name], one.arrays[name]) for name in one.arrays)
    assert any(not np.array_equal(other.arrays[name], one.arrays[name]) for name in one.arrays)


@pytest.mark.parametrize("few", [False, True])
def test_image_networks_have_context_vectors_in_training_and_none_on_held_out_spots(toy, few, monkeypatch):
    monkeypatch.setattr(training, "MANY", 1000 if few else 10)
    method, tissue = prepared(toy, image_networks=3, held_out=0.3)
    tested = 0
    for number in range(2, 5):
        task = training_task(networks_of(method, tissue), tissue, number, 0)
        assert all(context.abs().sum() > 0 for _, context, _, _ in task.batches)
        assert all(context.abs().sum() == 0 for _, context, _, _ in task.held_out)
        left_out, learned = (sum(len(batch[0]) for batch in loader) for loader in (task.held_out, task.batches))
        assert left_out + learned == whole_spots_of(toy.section).sum()
        tested += left_out
        assert task.patience == (SMALL["patience"] if few else None)
    # Of few spots each keeps that share, of many all of them together do.
    assert (0.8 if few else 0.2) < tested / len(toy.section.spots) < (1.3 if few else 0.6)


@pytest.mark.parametrize("number", [0, 2])
def test_training_takes_no_more_steps_than_it_may_but_sees_every_spot_once(toy, number):
    method, tissue = prepared(toy)

    def steps(limit):
        method.config = replace(method.config, steps=limit, image_steps=limit)
        return training_task(networks_of(method, tissue), tissue, number, 0).module.total_steps

    once = steps(1)
    assert once > 1
    assert [steps(limit) for limit in (once, 2 * once - 1, 2 * once)] == [once, once, 2 * once]


def test_one_tile_of_tissue_is_enough_to_hold_spots_out():
    section = toy_section(shape=(26, 26), pitch=40.0, diameter=30.0).section
    method = create("cross_attention", {**SMALL, "steps": 4, "image_steps": 4, "tile": 50.0}).fit(
        section, seed=0, training=QUIET
    )
    assert np.isfinite(whole(method, section).mean).all()


def test_few_spots_are_refused(toy):
    few = toy.section.subset(np.arange(12))
    with pytest.raises(ValueError, match="spots=12 are too few"):
        create("cross_attention", SMALL).fit(few, seed=0, training=QUIET)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("attention_networks", 0, "attention_networks=0 is not allowed; pass a whole number from 1 to 32"),
        ("dim", 10, "dim=10 is not allowed; pass a multiple of 4"),
        ("lengths", (3, 1), r"lengths=\(3.0, 1.0\) is not allowed; pass the shortest first"),
        ("held_out", 0.7, "held_out=0.7 is not allowed; pass a number from 0.001 to 0.5"),
    ],
)
def test_options_that_leave_nothing_to_train_are_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        create("cross_attention", {option: value})
