"""A registered version, loaded and ready to predict, whatever its framework."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from brixa_flows.errors import DatasetError
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.serializers import load_model_files, serializer_named
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    Serializer,
)

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.versioning import ModelVersion

__all__ = ["ModelPredictor"]


class ModelPredictor:
    """Predicts with one version by its framework's serializer.

    Args:
        metadata: Of the version.
        model: The loaded model.
        serializer: Of its framework.
    """

    def __init__(
        self, metadata: ModelMetadata, model: Any, serializer: Serializer
    ) -> None:
        self.metadata = metadata
        self.model = model
        self._serializer = serializer

    @classmethod
    def from_registry(
        cls,
        registry: ModelRegistry,
        name: str,
        spec: ModelVersion | str | None = None,
        *,
        device: str = "auto",
        trust: Literal["code"] | None = None,
    ) -> ModelPredictor:
        """Load a version: verified and trusted as by ``registry.load_model``.

        Args:
            registry: Where it is.
            name: Of the model.
            spec: Which version; ``None`` is production, else the highest stable one.
            device: As in ``registry.load_model``.
            trust: As in ``registry.load_model``.

        Raises:
            VersionNotFoundError: If no ready version answers to ``spec``.
            DamagedArtifactError: If its files are not the ones that were saved.
            UntrustedArtifactError: If the trust policy does not let it run code.
        """
        opened = registry.open_version(name, spec, trust=trust)
        options = LoadOptions(device=device)
        model = load_model_files(opened.directory, opened.manifest, options)
        serializer = serializer_named(opened.manifest.saved.serializer)
        return cls(opened.metadata, model, serializer)

    def predict(self, inputs: ModelInputs) -> Prediction:
        """Predict one batch, with probabilities where the model has them.

        Raises:
            DatasetError: If the inputs are not what the model takes; names the version.
        """
        try:
            return self._serializer.predict(self.model, inputs)
        except DatasetError as err:
            version = f"{self.metadata.name} {self.metadata.version}"
            raise DatasetError(f"{version}: {err.message}", **err.facts) from err

    def with_margins(self, inputs: ModelInputs, prediction: Prediction) -> Prediction:
        """The answer with what orders its rows, if it has no probabilities.

        That is the ``decision_function`` of scikit-learn's classifiers.

        Args:
            inputs: Of the batch.
            prediction: What :meth:`predict` said of it.
        """
        labels = getattr(self.model, "classes_", None)
        decide = getattr(self.model, "decision_function", None)
        if prediction.scores is not None or decide is None or labels is None:
            return prediction
        if _decides_by_pairs(self.model):
            return prediction
        classes = tuple(np.asarray(labels).tolist())
        margins = np.asarray(decide(inputs))
        shape = np.shape(prediction.values)
        if len(shape) == 1 and len(classes) > 2:
            shape = (*shape, len(classes))
        if margins.shape != shape:  # neither one of each class nor of each label
            return prediction
        return replace(prediction, classes=classes, margins=margins)


def _decides_by_pairs(model: Any) -> bool:
    """Whether decisions are of pairs of classes: an SVC may be told so, also inside."""
    fitted = getattr(model, "best_estimator_", model)
    said = fitted.get_params() if hasattr(fitted, "get_params") else {}
    return any(
        name.endswith("decision_function_shape") and shape == "ovo"
        for name, shape in said.items()
    )
