"""Methods, each a file that registers itself; a new one is such a file and its name in the import line below."""

from stsr.methods import (  # noqa: F401
    cross_attention,
    feature_knn,
    histex,
    histosge,
    idw,
    istar,
    kriging,
    linear,
    nearest,
    ridge,
    spabit,
    stack,
)
from stsr.methods.base import METHODS, Balanced, Method, MethodInfo, Prediction, Predictor, Training, create, register

__all__ = ["METHODS", "Balanced", "Method", "MethodInfo", "Prediction", "Predictor", "Training", "create", "register"]
