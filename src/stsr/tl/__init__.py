"""Tools: fit a super-resolution model, predict with it, score it, measure imprints of spots, sum into regions."""

from stsr.methods.model import Model
from stsr.tl.aggregate import aggregate
from stsr.tl.evaluate import evaluate
from stsr.tl.fit_super_resolution import fit_super_resolution
from stsr.tl.lattice_imprint import lattice_imprint
from stsr.tl.predict import predict
from stsr.tl.save_table import save_table

__all__ = ["Model", "aggregate", "evaluate", "fit_super_resolution", "lattice_imprint", "predict", "save_table"]
