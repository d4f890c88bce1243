"""What a serializer is: model object <-> files, and how its framework predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LoadOptions",
    "ModelInputs",
    "Prediction",
    "SaveOptions",
    "SavedModel",
    "Serializer",
    "Tier",
]

Tier = Literal["data", "code"]

ModelInputs: TypeAlias = (
    "pd.DataFrame | NDArray[Any] | Mapping[str, NDArray[Any]] | Sequence[str]"
)


@dataclass(frozen=True)
class SaveOptions:
    """What a caller may add on save; a serializer refuses what it can't use.

    Attributes:
        format: Name of an alternative format of the serializer.
        tokenizer: Hugging Face tokenizer to keep with the model.
        processor: Hugging Face processor to keep with the model.
        generation_config: Hugging Face generation config to keep with the model.
        input_example: One batch of inputs, as the model takes them.
    """

    format: str | None = None
    tokenizer: Any = None
    processor: Any = None
    generation_config: Any = None
    input_example: Any = None


@dataclass(frozen=True)
class LoadOptions:
    """How a caller wants the model.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        dtype: Floating dtype to cast to (``float16`` ...), ``None`` keeps it.
        as_pipeline: Return a Hugging Face pipeline.
    """

    device: str = "auto"
    dtype: str | None = None
    as_pipeline: bool = False


@dataclass(frozen=True)
class SavedModel:
    """What a serializer wrote, kept in the manifest and handed back on load.

    Attributes:
        serializer: Name of the serializer's plug-in.
        format: Name of the format written (``joblib``, ``safetensors`` ...).
        tier: ``data`` if loading runs no stored code, else ``code``.
        entry: File (``model.pt``) or directory (``model``) below the version
            directory; the serializer writes nothing outside of it.
        config: JSON facts that the serializer needs to load it again. ``because`` is
            why no safer format was possible (for the warning); ``classes`` lists every
            ``module:Class`` that a data format imports on load, and the serializer
            refuses to import one that is not listed, as the trust policy judged these.
    """

    serializer: str
    format: str
    tier: Tier
    entry: str
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """The answer of a model to a batch.

    Attributes:
        values: Predicted labels, numbers or raw outputs, of shape (n_samples, ...).
        scores: Class probabilities of shape (n_samples, n_classes), if it has any.
        classes: Label of each column of ``scores`` (or ``margins``).
        margins: Decision scores of a classifier without probabilities, where somebody
            asked for them: one a row of two classes, of shape (n_samples,), for the
            second; else one for each class, of shape (n_samples, n_classes).
    """

    values: NDArray[Any]
    scores: NDArray[np.floating[Any]] | None = None
    classes: tuple[Any, ...] | None = None
    margins: NDArray[np.floating[Any]] | None = None


class Serializer(Protocol):
    """Writes and reads the models of one framework.

    Stateless and safe to use from many threads. ``save`` writes only below
    ``directory / entry`` and leaves the model as it was (device, dtype, mode).
    ``load`` is called only after every file was verified against its recorded sha256
    and the trust policy allowed the tier, so it need not check again; it warns
    nothing about trust (its caller does).
    """

    framework: str

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model`` below ``directory``.

        Raises:
            SerializationError: If it can't be written; names the attribute to blame.
        """
        ...

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the model back.

        Raises:
            SerializationError: If the files are not what ``saved`` says.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        ...

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict one batch, with probabilities where the model has them.

        Raises:
            DatasetError: If the inputs are not what the model takes.
        """
        ...
