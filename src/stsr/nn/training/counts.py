"""Training on counts: a negative-binomial loss between what spots measured and what a network expects of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from stsr.nn.layers.gene_subsets import ALL, some, turn_of
from stsr.nn.layers.losses import negative_binomial
from stsr.nn.layers.spot_sums import TURNS

MEMORY = 3.0
"""η of polynomial-decay averaging (Shamir & Zhang, ICML 2013, section 4): of however many steps, the last 1 / (η + 1) count
most."""

WARM_UP = 0.2
"""Share of training in which the learning rate rises, in a straight line."""


class SpotCounts(lightning.LightningModule):
    """Negative-binomial loss over spots and genes; a subclass says what a network expects of the spots of a batch.

    Of many genes, a step of training looks at some, in turn.

    The library size counts for little, but for something: it has a hundred times the molecules of a gene, and so tells
    where in the tissue there is much of everything.

    Parameters
    ----------
    net
        Predicts rates per cell; its ``log_theta`` (g + 1,) is the logarithm of the inverse dispersion.
    mean
        (g + 1,) mean density of the tissue.
    library_weight
        Weight of the library size's loss beside the mean over genes.
    learning_rate, weight_decay
        Of AdamW.
    total_steps
        Steps of the whole training: in the first fifth the rate rises, then it stays.
    """

    mean: Tensor

    def __init__(
        self,
        net: nn.Module,
        mean: Tensor,
        *,
        library_weight: float,
        learning_rate: float,
        weight_decay: float,
        total_steps: int,
    ) -> None:
        super().__init__()
        self.learner, self.average = net, AveragedModel(net, multi_avg_fn=polynomial_decay)
        self.register_buffer("mean", mean, persistent=False)
        self.library_weight = library_weight
        self.learning_rate, self.weight_decay, self.total_steps = learning_rate, weight_decay, total_steps

    @abstractmethod
    def spots(self, batch: Any, genes: slice = ALL) -> tuple[Tensor, Tensor]:
        """(n, g + 1) counts of the spots of a batch, their library size last, and what the network expects of them.

        ``g`` is the number of genes that are asked for.
        """

    def losses(self, batch: Any) -> tuple[Tensor, Tensor, int]:
        """Mean over spots and genes, mean over spots for the library size, and the number of spots."""
        # Cells of discs take turns too: genes see all of them before the next have theirs.
        genes = turn_of(len(self.mean) - 1, self.global_step // TURNS) if self.training else ALL
        counts, expected = self.spots(batch, genes)
        # Counts are compared in full precision, whatever the network was run in.
        with torch.autocast(self.device.type, enabled=False):
            columns = negative_binomial(counts, expected, some(self.current.log_theta, genes)).mean(dim=0)
        return columns[:-1].mean(), columns[-1], len(counts)

    def training_step(self, batch: Any, index: int) -> Tensor:
        """One batch, one step."""
        genes, library, spots = self.losses(batch)
        self.log("train", genes, on_step=False, on_epoch=True, batch_size=spots, prog_bar=True)
        return genes + self.library_weight * library

    def validation_step(self, batch: Any, index: int) -> None:
        """A batch of held-out spots."""
        genes, _, spots = self.losses(batch)
        self.log("held_out", genes, on_epoch=True, batch_size=spots, prog_bar=True)

    @property
    def net(self) -> Any:
        """What has been learned: the average of what the network has been."""
        return self.average.module

    @property
    def current(self) -> Any:
        """The network as it learns, or what it has learned."""
        return self.learner if self.training else self.net

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        """Average the weights."""
        self.average.update_parameters(self.learner)

    def configure_optimizers(self) -> Any:
        """AdamW, fused where :class:`stsr.nn.training.regression.Regression` has Adam fused; the rate rises, then stays."""
        optimizer = torch.optim.AdamW(
            self.learner.parameters(),
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            fused=self.device.type == "cpu",
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.warm_up)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def warm_up(self, step: int) -> float:
        """Share of the full rate at a step."""
        return min(1.0, (step + 1) / (WARM_UP * self.total_steps + 1))


def polynomial_decay(average: Sequence[Tensor], latest: Sequence[Tensor], steps: Tensor | int) -> None:
    """Bring averages of weights over some steps up to one step more."""
    share = float((MEMORY + 1) / (steps + 1 + MEMORY))
    for mean, now in zip(average, latest, strict=True):
        mean.lerp_(now, share)
