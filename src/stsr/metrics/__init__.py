"""Scores of a prediction against the truth: arrays in, one value per gene out.

Every score takes the truth first and the prediction second, both (cells, genes) with the same cells in the same order.
A gene without a score (its truth or its prediction is constant) gets NaN.
"""

from stsr.metrics.blocks import block_operator
from stsr.metrics.ceiling import noise_ceiling, thin
from stsr.metrics.correlation import pearson, spearman
from stsr.metrics.deviance import deviance
from stsr.metrics.image import rmse, ssim

__all__ = ["block_operator", "deviance", "noise_ceiling", "pearson", "rmse", "spearman", "ssim", "thin"]
