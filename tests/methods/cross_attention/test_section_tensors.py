"""The section as networks look at it: no spot is told of itself."""

from __future__ import annotations

import numpy as np
import pytest
from toys.attention import SMALL
from toys.border import whole_spots
from toys.section import toy_section

from stsr.methods import create
from stsr.methods.cross_attention.expression_scale import Typical
from stsr.methods.cross_attention.residuals import Residuals
from stsr.methods.shared.standardise import Scaling


@pytest.fixture(scope="module")
def toy():
    return toy_section()


def test_a_spots_own_counts_never_reach_its_own_training_prediction(toy):
    """Doubling one spot's counts changes what its neighbours are told, not what it is told itself."""
    import torch

    from stsr.methods.cross_attention.tiles import Tiles

    toy = whole_spots(toy)
    method = create("cross_attention", {**SMALL, "neighbours": 5})
    scaling = Scaling.learn(toy.section, width=64)
    method.arrays = scaling.arrays | {"pitch": np.array([100.0])}
    method.arrays |= Typical.learn(toy.section).arrays | Residuals.learn(toy.section, directions=3).arrays
    net = method.architecture(len(toy.section.genes), toy.section.grid.bin_size).attention_network().eval()
    tissue = method.tissue(toy.section, torch.device("cpu"), training=True)
    tiles = Tiles(tissue, tissue.patches, side=1000, rng=None)

    def discs():
        tile = next(iter(tiles))
        with torch.no_grad():
            own = tile.patch.of(tile.features)
            rates, _, _ = net(net.tokens(tile.features, tile.pixels), own, tile.patch, tissue.mean)
        heard = tissue.context(*tissue.around(tissue.patches))
        return torch.cat([rates * tile.patch.weight[..., None], heard], dim=-1).sum(dim=1)

    before = discs()
    tissue.density[7] *= 2
    tissue.profile[7] += 1
    tissue.residuals[7] += 1
    after = discs()
    told = [i for i, others in enumerate(tissue.near) if 7 in others]
    torch.testing.assert_close(before[7], after[7], rtol=0, atol=0)
    assert (before[told] != after[told]).any(dim=1).all()
