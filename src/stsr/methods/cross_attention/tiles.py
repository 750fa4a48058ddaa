"""Tiles of tissue to train on: windows of a section with the discs of some of its spots."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from stsr.methods.cross_attention.section_tensors import Tissue
from stsr.methods.cross_attention.uncertainty import by_tile
from stsr.methods.shared.spot_cells import Patches
from stsr.nn.networks.hidden_spots import Tile


class Tiles(IterableDataset):
    """Tiles of a section in training with the discs of some of its spots.

    A pass visits every spot once. In training the tiling is shifted, shuffled and shown in one of eight orientations
    anew at each pass.

    Parameters
    ----------
    tissue
        The section.
    patches
        The spots to predict, with their cells.
    side
        Side of a tile in cells.
    rng
        Source of the shifts in training; None for one fixed tiling.
    """

    def __init__(self, tissue: Tissue, patches: Patches, *, side: int, rng: np.random.Generator | None) -> None:
        self.tissue, self.patches, self.side, self.rng = tissue, patches, side, rng
        self.home = tissue.section.grid.rowcol[self.patches.cells[:, 0]]

    def groups(self) -> list[NDArray[np.int64]]:
        """Positions of the patches in each tile of one pass."""
        shift = self.rng.integers(0, self.side, 2) if self.rng is not None else 0
        groups = by_tile(self.home + shift, self.side)
        if self.rng is not None:
            self.rng.shuffle(groups)
        return groups

    def __iter__(self) -> Iterator[Tile]:
        for group in self.groups():
            yield self.tile(group)

    def tile(self, group: NDArray[np.int64]) -> Tile:
        """The window around the cells of a group of patches."""
        tissue, patches = self.tissue, self.patches[group]
        rowcol = tissue.section.grid.rowcol[patches.cells]
        window = tissue.window_around(rowcol.min(axis=(0, 1)), rowcol.max(axis=(0, 1)) + 1)
        features, pixels = tissue.window(window)
        turn = self.rng.integers(0, 2, 3).astype(bool) if self.rng is not None else np.zeros(3, dtype=bool)
        index = torch.as_tensor(patches.anchor, device=tissue.device)
        return Tile(features, pixels, tuple(turn.tolist()), tissue.patch(patches, window), tissue.counts[index])
