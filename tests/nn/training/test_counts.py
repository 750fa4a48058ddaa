"""What is kept of training on counts: the average of what the network has been."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader

from stsr.nn.layers.gene_subsets import select_genes
from stsr.nn.training.counts import AVERAGING_ETA, SpotCounts, polynomial_decay
from stsr.nn.training.settings import Training
from stsr.nn.training.trainer import Task, train


class Rates(torch.nn.Module):
    """One rate a gene, whatever the cell."""

    def __init__(self, genes):
        super().__init__()
        self.log_rate = torch.nn.Parameter(torch.zeros(genes + 1))
        self.log_theta = torch.nn.Parameter(torch.full((genes + 1,), 2.0))


class Spots(SpotCounts):
    """Notes the rates after each step."""

    def spots(self, batch, genes):  # noqa: D102
        return select_genes(batch, genes), select_genes(self.current.log_rate, genes).exp().expand(len(batch), -1)

    def on_train_batch_end(self, *args):  # noqa: D102
        super().on_train_batch_end(*args)
        self.path.append(self.learner.log_rate.detach().clone())


def learn(rate, steps):
    counts = torch.full((1, 4), 5.0)
    settings = {"library_weight": 1.0, "learning_rate": rate, "weight_decay": 0.0, "total_steps": steps}
    module = Spots(Rates(3), torch.ones(4), **settings)
    module.path = []
    batches = DataLoader(counts.expand(steps, 4), batch_size=1)
    train([Task(module, batches, DataLoader(counts), 1, None)], training=Training("cpu", progress=False))
    return module


def test_what_is_kept_is_the_polynomial_decay_average_of_the_path():
    module = learn(0.1, 12)
    weights = torch.ones(1)
    for step in range(2, 13):  # Shamir & Zhang 2013: each step takes (η + 1) / (t + η) of the average
        share = (AVERAGING_ETA + 1) / (step + AVERAGING_ETA)
        weights = torch.cat([weights * (1 - share), torch.tensor([share])])
    torch.testing.assert_close(module.net.log_rate, (weights[:, None] * torch.stack(module.path)).sum(dim=0))
    assert weights[-3:].sum() > 0.6


def test_held_out_spots_are_expected_by_what_is_kept():
    module = learn(0.1, 12)
    assert module.current is module.net
    assert module.train().current is module.learner


def test_the_average_ends_where_learning_ends():
    module = learn(0.1, 400)
    torch.testing.assert_close(module.net.log_rate.exp(), torch.full((4,), 5.0), rtol=0.02, atol=0)


def test_the_first_step_is_all_of_the_average():
    average = torch.zeros(2)
    polynomial_decay([average], [torch.ones(2)], 0)
    torch.testing.assert_close(average, torch.ones(2))
