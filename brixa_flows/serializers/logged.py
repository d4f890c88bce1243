"""A model that MLflow logged, as its whole directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["MLFLOW", "MlflowModel", "MlflowSource"]

MLFLOW = "mlflow"
"""Name of the serializer that keeps such directories, and of their framework."""


@dataclass(frozen=True)
class MlflowSource:
    """Where the files of a model stay that is kept by reference.

    Attributes:
        uri: What the model was asked for by (``runs:/ID/model``).
        location: Where its files are (``file:///...``, ``s3://...``).
        server: Address of the MLflow server that hands them out, if one does.
    """

    uri: str
    location: str
    server: str = ""


@dataclass(frozen=True)
class MlflowModel:
    """A model of any flavor; saving it keeps its files as MLflow wrote them.

    Attributes:
        directory: Its files.
        model: The live object: of its framework, or MLflow's ``PyFuncModel``.
        flavor: The flavor that loaded it.
        whole: Only its whole directory is the model: it has code of its own, or is of a
            class that no serializer of ours writes.
        input_example: The example logged with it.
        signature: As its ``MLmodel`` file has it.
        environment: Version by package that it asks for.
        source: Where the files stay, if only digests of them are to be kept.
    """

    directory: Path
    model: Any
    flavor: str
    whole: bool
    input_example: Any = None
    signature: Mapping[str, Any] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    source: MlflowSource | None = None
