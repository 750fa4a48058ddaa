"""Methods. Each is a module that registers itself; a new one is such a module, imported below."""

from stsr.methods.base import METHODS, Balanced, Method, MethodInfo, Prediction, Predictor, Training, create, register
from stsr.methods.baselines import feature_knn, idw, kriging, linear, nearest, pls, ridge, stack  # noqa: F401
from stsr.methods.cross_attention import method  # noqa: F401
from stsr.methods.histology import deeppt, deepspace, histogene, stnet, tcgn_lite  # noqa: F401
from stsr.methods.super_resolution import histex, histosge, istar, spabit  # noqa: F401

__all__ = ["METHODS", "Balanced", "Method", "MethodInfo", "Prediction", "Predictor", "Training", "create", "register"]
