"""Detect frameworks of look-alikes, then without torch ask for its serializer."""

import json
import sys

from brixa_flows.errors import MissingExtraError
from brixa_flows.serializers import detect_framework, serializer_for


def _like(*paths: str) -> object:
    bases: tuple[type, ...] = ()
    for path in paths:
        module, _, name = path.rpartition(".")
        bases = (type(name, bases, {"__module__": module}),)
    return type("Mine", bases, {"__module__": "my_team.models"})()


TORCH = "torch.nn.modules.module.Module"
detected = [
    detect_framework(_like(TORCH)),
    detect_framework(_like(TORCH, "transformers.modeling_utils.PreTrainedModel")),
    detect_framework(_like("keras.src.models.model.Model")),
    detect_framework(_like("sklearn.base.BaseEstimator")),
    detect_framework(_like(TORCH, "sklearn.base.BaseEstimator")),
    detect_framework(_like()),
    detect_framework(None),
]
heavy = {"torch", "transformers", "keras", "tensorflow", "sklearn", "pandas", "mlflow"}
loaded = sorted(heavy & sys.modules.keys())
sys.modules["torch"] = None
try:
    serializer_for(_like(TORCH), "torch")
    message = ""
except MissingExtraError as err:
    message = str(err)
print(json.dumps([detected, loaded, message]))
