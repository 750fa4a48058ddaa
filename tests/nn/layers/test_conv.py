"""Convolutional layers against torch's, an image at a time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from stsr.nn.layers.conv import ConvMixer, DynamicConv


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_dynamic_convolution_is_one_convolution_an_image():
    layer, x = DynamicConv(3, 6, 4, hidden=5).eval(), torch.randn(3, 3, 8, 12)
    seen = layer.shared(x.mean(dim=(2, 3)))
    for image in range(3):
        kernel = sum(a * k for a, k in zip(layer.kernels(seen[image]).softmax(dim=0), layer.weight, strict=True))
        kernel = kernel * layer.places(seen[image]).sigmoid().reshape(1, 1, 4, 4)
        kernel = kernel * layer.inputs(seen[image]).sigmoid()[None, :, None, None]
        kernel = kernel * layer.outputs(seen[image]).sigmoid()[:, None, None, None]
        expected = F.conv2d(x[image, None], kernel, stride=4)
        torch.testing.assert_close(layer(x)[image, None], expected, rtol=1e-4, atol=1e-5)


def test_a_mixer_mixes_places_within_channels_then_channels_within_places():
    layer, x = ConvMixer(4, 3).eval(), torch.zeros(1, 4, 9, 9)
    still, moved = layer.places(x), x.clone()
    moved[0, 1, 4, 4] = 1
    change = layer.places(moved) - still
    assert change[0, 1, 2:7, 2:7].abs().min() > 0
    assert not change[0, [0, 2, 3]].any()
    assert not change[0, 1, :2].any()
    change = layer.channels(moved) - layer.channels(x)
    assert change[0, :, 4, 4].abs().min() > 0
    assert not change[0, :, :4].any()
    torch.testing.assert_close(layer(moved), layer.channels(moved + layer.places(moved)))
