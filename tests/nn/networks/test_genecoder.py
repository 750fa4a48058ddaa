"""GeneCodeR: its published size, and its loadings and predictions against numpy's decompositions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys.sections import parameters, spots

from stsr.nn.networks.genecoder import GeneCoderNet, shared_loadings


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_its_loadings_of_pixels_are_as_many_as_published():
    with torch.device("meta"):
        net = GeneCoderNet(785)
    assert net.pixel_loadings.numel() == 75_264_000
    assert parameters(net) == 75_264_000 + 500 * 785


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_loadings_are_the_truncated_decomposition_of_both_tables(weight):
    x, y = torch.randn(20, 30), torch.randn(20, 6)
    found = shared_loadings(x, y, 4, weight=weight)
    both = torch.cat([x - x.mean(0), weight * (y - y.mean(0))], dim=1).numpy()
    u, s, vt = np.linalg.svd(both, full_matrices=False)
    best = u[:, :4] * s[:4] @ vt[:4]
    loadings = torch.cat([found.pixels, weight * found.genes], dim=1).numpy()
    scores = both @ np.linalg.pinv(loadings)
    np.testing.assert_allclose(scores @ loadings, best, atol=1e-4)


def test_more_codes_explain_more():
    x, y = torch.randn(20, 30), torch.randn(20, 6)
    both, errors = torch.cat([x - x.mean(0), y - y.mean(0)], dim=1), []
    for codes in (1, 5, 10, 19):
        loadings = torch.cat(shared_loadings(x, y, codes)[:2], dim=1)
        errors.append((both - both @ torch.linalg.pinv(loadings) @ loadings).square().sum().item())
    assert all(after < before for before, after in zip(errors, errors[1:], strict=False))
    assert errors[-1] < 1e-3


def test_predictions_are_least_squares_on_pixels_by_numpy():
    pixels, _, target = spots(6)
    net = GeneCoderNet(4, size=6, codes=3)
    net.learn(pixels, target, weight=100)
    x, y = pixels.flatten(1).double().numpy(), target.double().numpy()
    found = shared_loadings(pixels.flatten(1), target, 3, weight=100)
    z, *_ = np.linalg.lstsq(found.pixels.double().numpy().T, (x - x.mean(0)).T, rcond=None)
    expected = z.T @ found.genes.double().numpy() + y.mean(0)
    np.testing.assert_allclose(net(pixels).detach().numpy(), expected, atol=1e-3)


def test_colour_that_says_what_is_expressed_is_found():
    colour, map_ = torch.rand(60, 3), torch.rand(3, 4)
    pixels = (255 * colour)[..., None, None].expand(60, 3, 4, 4)
    net = GeneCoderNet(4, size=4, codes=3)
    net.learn(pixels[:40], colour[:40] @ map_)
    torch.testing.assert_close(net(pixels[40:]), colour[40:] @ map_, atol=1e-3, rtol=1e-3)


def test_an_image_that_says_nothing_gives_the_mean_not_noise():
    """Loadings of codes that pixels do not tell apart are 0, and are not divided by."""
    pixels, target = torch.full((10, 3, 4, 4), 200.0), torch.rand(10, 4)
    net = GeneCoderNet(4, size=4, codes=2)
    net.learn(pixels, target)
    torch.testing.assert_close(net(pixels), target.mean(0).expand(10, 4), atol=1e-4, rtol=1e-4)


def test_predictions_are_a_spot_at_a_time():
    net, (pixels, *_), order = GeneCoderNet(4, size=6, codes=3), spots(6), torch.randperm(12)
    torch.testing.assert_close(net(pixels)[order], net(pixels[order]), rtol=1e-3, atol=1e-3)


def test_as_many_codes_as_spots_are_refused():
    with pytest.raises(ValueError, match="codes=5 is not allowed with 5 spots; pass fewer codes than spots"):
        shared_loadings(torch.rand(5, 9), torch.rand(5, 2), 5)
