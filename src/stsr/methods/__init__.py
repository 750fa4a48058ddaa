"""Methods, each a file that registers itself; a new one is such a file and its name in the import line below."""

from stsr.methods import cross_attention, histex, idw, linear, nearest, ridge  # noqa: F401
from stsr.methods.base import METHODS, Method, MethodInfo, Prediction, Predictor, Training, create, register

__all__ = ["METHODS", "Method", "MethodInfo", "Prediction", "Predictor", "Training", "create", "register"]
