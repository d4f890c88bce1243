"""The installed versions that a saved model depends on."""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from brixa_flows.serializers.logged import MlflowModel

__all__ = ["environment_of"]

_ALWAYS = ("brixa-flows", "numpy")
_PACKAGES = {
    "keras": ("keras", "tensorflow"),
    "onnx": ("onnx", "onnxruntime"),
    "onnxruntime": ("onnx", "onnxruntime"),
    "sklearn": ("scikit-learn", "scipy", "joblib"),
    "torch": ("torch", "safetensors"),
    "transformers": ("transformers", "tokenizers"),
    "xgboost": ("xgboost", "xgboost-cpu"),
}
_MODULES = {"pytorch": "torch", "tensorflow": "keras"}


def environment_of(model: Any, framework: str) -> dict[str, str]:
    """Installed version by package name: Python, ours, and those of the model's classes.

    Read from the installed metadata; nothing is imported and no process is started. A
    package that is upgraded under a running process keeps the version it had first.

    Args:
        model: The object.
        framework: Its canonical name, as the class of a state dict does not tell it.
    """
    modules = [each.__module__.partition(".")[0] for each in type(model).__mro__]
    modules.append(_MODULES.get(framework, framework))
    wanted = list(_ALWAYS)
    for module in dict.fromkeys(modules):
        if module not in sys.stdlib_module_names and module != "brixa_flows":
            wanted.extend(_PACKAGES.get(module, (module,)))
    found = {"python": platform.python_version()}
    for package in wanted:
        try:
            found[package] = _installed(package)
        except (PackageNotFoundError, ValueError):
            continue
    if isinstance(model, MlflowModel):
        found |= model.environment  # what it was logged with, not what is here
    return found


# A look-up takes milliseconds. A package that is not there is looked up every time.
_installed = cache(version)
