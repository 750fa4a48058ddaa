"""A network of timm on raw patches: colours scaled as its weights were learned, and how wide it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stsr.nn.networks.patch_encoder import PatchEncoder


def test_colours_are_scaled_as_the_weights_were_learned():
    torch.manual_seed(0)
    encoder = PatchEncoder("test_resnet", weights="random").eval()
    patches = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
    config = encoder.backbone.pretrained_cfg
    mean, sd = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    expected = encoder.backbone((patches / 255 - mean) / sd)
    torch.testing.assert_close(encoder(patches), expected)
    np.testing.assert_allclose(encoder.state_dict()["sd"], config["std"], rtol=1e-6)


@pytest.mark.parametrize("name", ["densenet121", "resnet50", "vgg16", "mobilenetv3_small_050", "test_vit"])
def test_its_width_is_that_of_what_it_gives(name):
    with torch.device("meta"):
        encoder = PatchEncoder(name, weights="random").eval()
        size = encoder.backbone.pretrained_cfg["input_size"][1]
        assert encoder(torch.empty(1, 3, size, size, dtype=torch.uint8)).shape == (1, encoder.width)
