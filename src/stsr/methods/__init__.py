"""Methods. Each is a module that registers itself, in a family of methods; families and modules are found by themselves."""

from stsr.methods.base import METHODS, Balanced, Method, MethodInfo, Prediction, Predictor, Training, create, register
from stsr.methods.discovery import import_methods

import_methods(__path__, __name__)

__all__ = ["METHODS", "Balanced", "Method", "MethodInfo", "Prediction", "Predictor", "Training", "create", "register"]
