"""Scores of a prediction against the truth: arrays in, one value per gene out.

Every score takes the truth first and the prediction second, both (cells, genes) with the same cells in the same order.
A gene without a score gets NaN: a constant has no correlation, for instance. It does have an error, a deviance and an
area under the curve, and gets those. :func:`undefined` gives the constant genes.
"""

from stsr.metrics._columns import undefined
from stsr.metrics.autocorrelation import morans_i, morans_preservation, rook_neighbours
from stsr.metrics.blocks import block_operator
from stsr.metrics.ceiling import noise_ceiling, thin
from stsr.metrics.correlation import pearson, spearman
from stsr.metrics.detection import auc
from stsr.metrics.deviance import deviance, moment_dispersion
from stsr.metrics.divergence import jensen_shannon
from stsr.metrics.domains import DomainAgreement, domain_agreement
from stsr.metrics.error import mae, mse, nrmse
from stsr.metrics.image import rmse, ssim
from stsr.metrics.information import mutual_information
from stsr.metrics.information_null import InformationNull, mutual_information_null
from stsr.metrics.intervals import coverage, sharpness
from stsr.metrics.lattice_imprint import LatticeImprint, lattice_imprint
from stsr.metrics.shared_noise import noise_ratio
from stsr.metrics.spot_edges import SpotEdges, spot_edges

__all__ = [
    "DomainAgreement",
    "InformationNull",
    "LatticeImprint",
    "SpotEdges",
    "auc",
    "block_operator",
    "coverage",
    "deviance",
    "domain_agreement",
    "jensen_shannon",
    "lattice_imprint",
    "mae",
    "moment_dispersion",
    "morans_i",
    "morans_preservation",
    "mse",
    "mutual_information",
    "mutual_information_null",
    "noise_ceiling",
    "noise_ratio",
    "nrmse",
    "pearson",
    "rmse",
    "rook_neighbours",
    "sharpness",
    "spearman",
    "spot_edges",
    "ssim",
    "thin",
    "undefined",
]
