"""Objects with dense image features, by duck typing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stsr.encoders import create
from stsr.geometry import Grid
from stsr.imaging.raster import Raster


class Model:
    """Mean colours of patches, in the shape of LazySlide's models."""

    name = "mean-colours"
    grid_size = (14, 14)

    def __init__(self, wrap: bool = False):
        self.wrap = wrap

    def get_transform(self):
        """From a tile (h, w, 3) to what the model takes."""
        return lambda tile: torch.from_numpy(tile).permute(2, 0, 1).float()

    def encode_image_dense(self, images):
        """Mean colour of every 16 px patch."""
        patches = torch.nn.functional.avg_pool2d(images, 16).flatten(2).mT
        return SimpleNamespace(patch_tokens=patches, cls_token=None) if self.wrap else patches


@pytest.mark.parametrize("wrap", [False, True])
def test_tokens_reach_their_cells(wrap):
    encoder = create(Model(wrap), device="cpu")
    assert (encoder.info.name, encoder.info.dim, encoder.info.tile, encoder.info.patch) == ("mean-colours", 3, 224, 16)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 640, 640), dtype=np.uint8)
    grid = Grid(np.array([[8.0, 0, 16], [0, 8.0, 24], [0, 0, 1]]), np.ones((9, 20), dtype=bool))
    features = encoder.encode_rows(Raster(((pixels, np.diag([0.5, 0.5, 1])),)), grid, slice(None))
    expected = pixels[:, 48:192, 32:352].astype(float).reshape(3, 9, 16, 20, 16).mean(axis=(2, 4))
    np.testing.assert_allclose(features, expected, atol=1e-2)


def test_a_torch_module_is_moved_to_the_device():
    class Module(Model, torch.nn.Module):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.wrap, self.scale = False, torch.nn.Parameter(torch.ones(1))

    assert create(Module(), device="cpu").info.dim == 3


def test_an_object_that_lacks_a_part_is_refused():
    with pytest.raises(ValueError, match="encoder='SimpleNamespace' lacks encode_image_dense, get_transform;"):
        create(SimpleNamespace(grid_size=(14, 14)))


def test_tokens_that_do_not_fill_the_grid_are_refused():
    model = Model()
    model.grid_size = (16, 16)
    with pytest.raises(ValueError, match=r"gives tokens of shape \(1, 196, 3\), which do not fill"):
        create(model, device="cpu")
