"""The network of DeepPT: its widths, and a code that restores features and gives expression."""

from __future__ import annotations

import pytest
import torch

from stsr.nn.networks.deeppt import CodedRegression, DeepPt
from stsr.nn.training.recipe import Recipe


@pytest.fixture
def net():
    torch.manual_seed(0)
    return DeepPt(3, backbone="test_resnet", weights="random")


@pytest.fixture
def batch():
    patches = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return [patches, torch.rand(4, 3, generator=torch.Generator().manual_seed(1))]


def test_its_widths_are_those_published():
    with torch.device("meta"):
        net = DeepPt(785)
    encoder, decoder, perceptron = 2048 * 512 + 512, 512 * 2048 + 2048, 512 * 512 + 512 + 512 * 785 + 785
    assert sum(p.numel() for p in net.parameters()) == 23_508_032 + encoder + decoder + perceptron == 26_273_105


def test_a_patch_goes_through_the_code_to_the_genes(net, batch):
    net.eval()
    code = net.code(net.encoder(batch[0]))
    assert code.shape == (4, 512)
    torch.testing.assert_close(net(batch[0]), net.express(code))


def test_the_loss_in_training_adds_that_of_the_restored_features(net, batch):
    module = CodedRegression(net, recipe=Recipe())
    module.eval()
    expression = module.loss(batch)
    torch.testing.assert_close(expression, ((net(batch[0]) - batch[1]) ** 2).mean())
    features = net.encoder(batch[0])
    restored = ((net.restore(net.code(features)) - features) ** 2).mean()
    module.training = True  # of the loss alone: dropout and batch normalisation stay as they are
    torch.testing.assert_close(module.loss(batch), expression + restored)


def test_every_parameter_learns_and_features_are_no_target_that_moves(net, batch):
    module = CodedRegression(net, recipe=Recipe())
    module.train()
    module.loss(batch).backward()
    assert all(p.grad is not None for p in net.parameters())
    assert (net.restore.weight.grad != 0).any()
    net.zero_grad()
    features = net.encoder(batch[0])
    features.retain_grad()
    net.encoder.forward = lambda patches: features
    with torch.no_grad():
        net.compress.weight.zero_()
        net.compress.bias.zero_()
    module.loss(batch).backward()
    assert (features.grad == 0).all()  # nothing goes through the code, so only a moving target could move them
