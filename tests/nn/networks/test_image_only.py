"""The network that reads a cell's features: where it starts, what it is told, and when it is not."""

from __future__ import annotations

import pytest
import torch

from stsr.nn.layers.gene_subsets import select_genes
from stsr.nn.layers.spot_sums import CELL_SUBSETS
from stsr.nn.networks.image_only import DROPOUT_PERIOD, HistologyDiscs, HistologyMean, HistologyNet


@pytest.fixture
def net():
    torch.manual_seed(0)
    return HistologyNet(5, 2, 7, read=(16, 12), rank=6)


def test_it_starts_from_the_mean(net):
    log_ratio, latent = net(torch.randn(3, 4, 5), torch.randn(3, 4, 2))
    torch.testing.assert_close(log_ratio, torch.zeros(3, 4, 8))
    assert latent.shape == (3, 4, net.rank)


def test_every_parameter_learns(net):
    torch.nn.init.normal_(net.head.weight, std=0.1)
    net(torch.randn(3, 4, 5), torch.randn(3, 4, 2))[0].sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert still == ["log_theta"]  # belongs to the loss


def test_a_disc_is_the_weighted_sum_of_its_cells(net):
    torch.nn.init.normal_(net.head.weight)
    module = HistologyDiscs(net, torch.rand(8), library_weight=0.1, learning_rate=1e-3, weight_decay=0.0, total_steps=2)
    features, context, weight, counts = torch.randn(2, 4, 5), torch.randn(2, 4, 2), torch.rand(2, 4), torch.rand(2, 8)
    told, expected = module.eval().spots([features.half(), context, weight, counts])
    cells = zip(features.half().float().flatten(0, 1), context.flatten(0, 1), strict=True)
    logs = torch.stack([net(*cell)[0] for cell in cells]).view(2, 4, 8)
    cells = module.mean * logs.exp()
    torch.testing.assert_close(told, counts)
    torch.testing.assert_close(expected, (weight[..., None] * cells).sum(dim=1))


def test_several_are_one_network_that_expects_their_geometric_mean(net):
    torch.manual_seed(1)
    nets = [net, HistologyNet(5, 2, 7, read=(16, 12), rank=6), HistologyNet(5, 2, 7, read=(8,), rank=4)]
    for one in nets:
        torch.nn.init.normal_(one.head.weight, std=0.3)
        torch.nn.init.normal_(one.head.bias, std=0.3)
    features, context, mean = torch.randn(3, 4, 5), torch.randn(3, 4, 2), torch.rand(8)
    with torch.inference_mode():
        rates, latent = HistologyMean(nets)(features, context, mean)
        logs = torch.stack([one(features, context)[0] for one in nets]).mean(dim=0)
        torch.testing.assert_close(rates, (mean * logs.exp())[..., :-1])
        torch.testing.assert_close(latent, torch.cat([one(features, context)[1] for one in nets], dim=-1))


def test_the_mean_of_several_stays_within_the_clamp(net):
    torch.nn.init.constant_(net.head.bias, 100.0)
    with torch.inference_mode():
        rates, _ = HistologyMean([net, net])(torch.randn(2, 5), torch.zeros(2, 2), torch.ones(8))
    torch.testing.assert_close(rates, torch.full((2, 7), net.clamp).exp())


def test_some_genes_are_predicted_as_among_all(net):
    torch.nn.init.normal_(net.head.weight)
    torch.nn.init.normal_(net.head.bias)
    told, genes = (torch.randn(2, 5), torch.randn(2, 2)), slice(1, None, 3)
    torch.testing.assert_close(net(*told, genes)[0], select_genes(net(*told)[0], genes))


def batch_of_discs(cells):
    return [torch.randn(2, cells, 5), torch.randn(2, cells, 2), torch.rand(2, cells), torch.rand(2, 8)]


def training(net):
    torch.nn.init.normal_(net.head.weight)
    return HistologyDiscs(net, torch.rand(8), library_weight=0.1, learning_rate=1e-3, weight_decay=0.0, total_steps=2)


def test_one_step_in_so_many_is_told_nothing(net, monkeypatch):
    module, batch = training(net), batch_of_discs(4)
    silent = [batch[0], torch.zeros(2, 4, 2), *batch[2:]]
    for step in range(2 * DROPOUT_PERIOD):
        monkeypatch.setattr(HistologyDiscs, "global_step", step)
        told, alone = (module.spots(heard)[1] for heard in (batch, silent))
        assert torch.equal(told, alone) == (step % DROPOUT_PERIOD == 0)


def test_cells_of_a_disc_take_turns_and_stand_for_all_of_it(net, monkeypatch):
    module, batch = training(net), batch_of_discs(5)
    weight = batch[2]
    whole = module.eval().spots(batch)[1]
    module.train()
    parts = []
    for step in range(1, 1 + CELL_SUBSETS):
        monkeypatch.setattr(HistologyDiscs, "global_step", step)
        share = weight[:, step % CELL_SUBSETS :: CELL_SUBSETS].sum(dim=1) / weight.sum(dim=1)
        parts.append(module.spots(batch)[1] * share[:, None])
    torch.testing.assert_close(sum(parts), whole)
