"""scikit-learn estimators, and pipelines around anything: joblib, uncompressed.

Uncompressed files can be memory-mapped. An object whose classes live in ``__main__``
is written by cloudpickle instead, because no other process could find them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from brixa_flows.errors import DatasetError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.devices import refuse_all_but_cpu
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.pickled import PickleSerializer, predict_by_methods
from brixa_flows.serializers.pickling import (
    PICKLE_PROTOCOL,
    PICKLING_ERRORS,
    UNPICKLING_ERRORS,
    find_main_reference,
    unpicklable,
    unpickle,
    unreadable,
)

__all__ = ["SklearnSerializer"]


class SklearnSerializer:
    """``model.joblib``, or ``model.pkl`` by cloudpickle for classes of ``__main__``."""

    framework = "sklearn"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``; the formats are ``joblib`` (default) and ``cloudpickle``.

        Raises:
            SerializationError: If it can't be pickled; names the attribute to blame.
        """
        chosen = choose_format(options, self.framework, ("joblib", "cloudpickle"))
        of_main = None if chosen == "cloudpickle" else find_main_reference(model)
        if chosen == "cloudpickle" or (options.format is None and of_main):
            by_value = SaveOptions(format="cloudpickle")
            saved = PickleSerializer().save(model, directory, by_value)
            return SavedModel(self.framework, saved.format, "code", saved.entry)
        try:
            joblib.dump(model, directory / "model.joblib", protocol=PICKLE_PROTOCOL)
        except PICKLING_ERRORS as err:
            raise unpicklable(model, err) from err
        return SavedModel(self.framework, "joblib", "code", "model.joblib")

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """Read the estimator back.

        Raises:
            SerializationError: If the file can't be read with what is installed.
            DeviceUnavailableError: If another device than the CPU is asked for.
        """
        refuse_all_but_cpu(options, self.framework)
        path = directory / saved.entry
        if saved.format == "cloudpickle":
            return unpickle(path)
        try:
            return joblib.load(path)
        except UNPICKLING_ERRORS as err:
            raise unreadable(path, err) from err

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict, with ``predict_proba`` where the estimator has it.

        Raises:
            DatasetError: If the estimator refuses the inputs or can't predict.
        """
        if isinstance(inputs, dict):
            try:
                inputs = pd.DataFrame(inputs)
            except ValueError as err:
                raise DatasetError(f"the columns are no table: {err}") from err
        return predict_by_methods(model, inputs)
