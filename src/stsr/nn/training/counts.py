"""Training on counts: a negative-binomial loss between measured and predicted counts of spots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from stsr.nn.layers.gene_subsets import ALL, gene_subset, select_genes
from stsr.nn.layers.losses import negative_binomial
from stsr.nn.layers.spot_sums import CELL_SUBSETS

AVERAGING_ETA = 3.0
"""η of polynomial-decay averaging (Shamir & Zhang, ICML 2013, section 4): of any number of steps, about the last 1 / (η + 1)
have most of the weight."""

WARM_UP = 0.2
"""Share of the training steps in which the learning rate rises linearly."""


class SpotCounts(lightning.LightningModule):
    """Negative-binomial loss over spots and genes; a subclass predicts the counts of the spots of a batch.

    With many genes, a training step uses a subset. The library size is a further term with a small weight: it has about a
    hundred times the molecules of a gene, so it shows best where tissue is rich in RNA.

    Parameters
    ----------
    net
        Predicts rates per cell; its ``log_theta`` (g + 1,) is the logarithm of the inverse dispersion.
    mean
        (g + 1,) mean density of the tissue.
    library_weight
        Weight of the loss of the library size; the mean over genes has weight 1.
    learning_rate, weight_decay
        Of AdamW.
    total_steps
        Steps of the whole training: in the first fifth the learning rate rises, then it is constant.
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
        """(n, g + 1) measured counts of the spots of a batch, their library size last, and the predicted ones.

        ``g`` is the size of the gene subset.
        """

    def losses(self, batch: Any) -> tuple[Tensor, Tensor, int]:
        """Mean over spots and genes, mean over spots for the library size, and the number of spots."""
        # Steps cycle through the cell subsets too: a gene subset is kept until all of them were used.
        genes = gene_subset(len(self.mean) - 1, self.global_step // CELL_SUBSETS) if self.training else ALL
        counts, expected = self.spots(batch, genes)
        # The loss is computed in full precision, even if the network runs in mixed precision.
        with torch.autocast(self.device.type, enabled=False):
            columns = negative_binomial(counts, expected, select_genes(self.current.log_theta, genes)).mean(dim=0)
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
        """The trained network: the average of its weights over steps."""
        return self.average.module

    @property
    def current(self) -> Any:
        """The network with its latest weights in training, with averaged ones otherwise."""
        return self.learner if self.training else self.net

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        """Average the weights."""
        self.average.update_parameters(self.learner)

    def configure_optimizers(self) -> Any:
        """AdamW, fused where :class:`stsr.nn.training.regression.Regression` has Adam fused; the rate rises, then is constant."""
        optimizer = torch.optim.AdamW(
            self.learner.parameters(),
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            fused=self.device.type == "cpu",
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.warm_up)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def warm_up(self, step: int) -> float:
        """Factor of the learning rate at a step."""
        return min(1.0, (step + 1) / (WARM_UP * self.total_steps + 1))


def polynomial_decay(average: Sequence[Tensor], latest: Sequence[Tensor], steps: Tensor | int) -> None:
    """Update averages of weights in place: ``average_t = (1 - a) average_{t-1} + a latest``, ``a = (η + 1) / (t + η)``."""
    # steps is the number of averaged steps before this one, t - 1
    share = float((AVERAGING_ETA + 1) / (steps + 1 + AVERAGING_ETA))
    for mean, now in zip(average, latest, strict=True):
        mean.lerp_(now, share)
