"""What each network of the default method is trained on: tiles of tissue, or the cells of spots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, TensorDataset

from stsr.methods.cross_attention.architecture import Architecture
from stsr.methods.cross_attention.section_tensors import Tissue
from stsr.methods.cross_attention.tiles import Tiles
from stsr.methods.cross_attention.uncertainty import hold_out
from stsr.nn.networks.hidden_spots import HiddenSpots
from stsr.nn.networks.image_only import HistologyDiscs
from stsr.nn.training.trainer import Task, fork_seed

if TYPE_CHECKING:
    from stsr.nn.networks.cross_attention import CrossAttentionNet
    from stsr.nn.networks.image_only import HistologyNet

SHORTEST_TILE = 12
"""Cells to a side; smaller tiles would be all border."""

MANY = 1000
"""Spots from which on image networks do not stop early, since they overfit fewer, and networks hold few of them out each."""


def training_tasks(architecture: Architecture, tissue: Tissue, seed: int) -> list[Task]:
    """Every network and how it is trained: those that attend, then those of the image."""
    config = architecture.config
    return [
        training_task(architecture, tissue, number, seed)
        for number in range(config.attention_networks + config.image_networks)
    ]


def training_task(architecture: Architecture, tissue: Tissue, number: int, seed: int) -> Task:
    """One of the networks, with its own choice of spots to hold out."""
    config, grid = architecture.config, tissue.section.grid
    rng = np.random.default_rng((seed, number))
    side = max(SHORTEST_TILE, round(config.tile * tissue.section.pitch / grid.bin_size))
    attends, many = number < config.attention_networks, len(tissue.section.spots) >= MANY
    # Of many spots, each network holds out a few; all of one kind together estimate the error of their predictions.
    share = config.held_out / ((config.attention_networks if attends else config.image_networks) if many else 1)
    held_out = hold_out(grid.rowcol[tissue.patches.cells[:, 0]], side // 2, share, rng)
    with fork_seed(int(rng.integers(2**31))):
        if attends:
            return on_tiles(architecture, architecture.attention_network(), tissue, held_out, side, rng)
        patience = None if many else config.patience
        return on_discs(architecture, architecture.image_network(), tissue, held_out, patience, rng)


def on_tiles(
    architecture: Architecture,
    net: CrossAttentionNet,
    tissue: Tissue,
    held_out: NDArray[np.bool_],
    side: int,
    rng: np.random.Generator,
) -> Task:
    """Learn from tiles of tissue, each spot hidden from itself."""
    config = architecture.config
    tiles = Tiles(tissue, tissue.patches[~held_out], side=side, rng=rng)
    check = Tiles(tissue, tissue.patches[held_out], side=side // 2, rng=None)
    n_tiles = len(tiles.groups())
    epochs = max(1, min(config.passes, config.steps // n_tiles))
    module = HiddenSpots(
        net,
        tissue.mean,
        library_weight=config.library_weight,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        total_steps=epochs * n_tiles,
    )
    batches, held_out_batches = (DataLoader(part, batch_size=None) for part in (tiles, check))
    return Task(module, batches, held_out_batches, epochs, config.patience)


def on_discs(
    architecture: Architecture,
    net: HistologyNet,
    tissue: Tissue,
    held_out: NDArray[np.bool_],
    patience: int | None,
    rng: np.random.Generator,
) -> Task:
    """Learn from the cells of spots in any order, each spot hidden from itself.

    Where there are many spots, training goes to the end: the loss on held-out squares is lowest long before the prediction
    between spots a pitch apart is best. Held-out spots are predicted without their context vectors, so their error is that of
    predictions from the image alone.
    """
    config, order = architecture.config, torch.Generator().manual_seed(int(rng.integers(2**31)))

    def discs(which: NDArray[np.bool_], with_context: bool) -> TensorDataset:
        patches = tissue.patches[which]
        features, weight = map(torch.as_tensor, (tissue.features_of(patches.cells), patches.weight))
        context = tissue.context(*tissue.around(patches)).cpu() * with_context
        return TensorDataset(features, context, weight, tissue.counts[patches.anchor].cpu())

    batches = DataLoader(discs(~held_out, True), batch_size=config.image_batch, shuffle=True, generator=order)
    check = DataLoader(discs(held_out, False), batch_size=config.image_batch)
    epochs = max(1, min(config.image_passes, config.image_steps // len(batches)))
    module = HistologyDiscs(
        net,
        tissue.mean,
        library_weight=config.library_weight,
        learning_rate=config.image_learning_rate,
        weight_decay=config.weight_decay,
        total_steps=epochs * len(batches),
    )
    return Task(module, batches, check, epochs, patience)
