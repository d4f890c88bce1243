"""The installed versions that a saved model depends on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["environment_of"]

_ALWAYS = ("brixa-flows", "numpy")
_PACKAGES = {
    "keras": ("keras", "tensorflow"),
    "sklearn": ("scikit-learn", "scipy", "joblib"),
    "torch": ("torch", "safetensors"),
    "transformers": ("transformers", "tokenizers"),
}


def environment_of(model: Any) -> dict[str, str]:
    """Installed version by package name: Python, ours, and those of the model's classes.

    Read from the installed metadata; nothing is imported and no process is started.
    """
    modules = [each.__module__.partition(".")[0] for each in type(model).__mro__]
    wanted = list(_ALWAYS)
    for module in dict.fromkeys(modules):
        wanted.extend(_PACKAGES.get(module, (module,)))
    found = {"python": platform.python_version()}
    for package in wanted:
        try:
            found[package] = version(package)
        except (PackageNotFoundError, ValueError):
            continue
    return found
