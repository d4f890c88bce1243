"""Setting a tag of a model version when others set it at the same moment."""

from __future__ import annotations

from typing import Any

from mlflow.exceptions import MlflowException

__all__ = ["set_version_tag"]


def set_version_tag(models: Any, name: str, number: str, key: str, value: str) -> None:
    """Set a tag; of two processes that insert it at once, MLflow fails one.

    The row is there then, so the second try of that one is an update.
    """
    try:
        models.set_model_version_tag(name, number, key, value)
    except MlflowException as err:
        if not any(word in str(err).lower() for word in ("unique", "duplicate")):
            raise
        models.set_model_version_tag(name, number, key, value)
