"""scikit-learn estimators, and pipelines around anything: joblib, uncompressed.

Large arrays of the file are mapped into memory on load, not read: processes share their
pages, and what is written to is copied, so that a loaded model can be trained on. What
no other process can import (classes of ``__main__``, lambdas) is written by cloudpickle.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pandas as pd
from joblib.numpy_pickle import NumpyPickler, NumpyUnpickler

from brixa_flows.errors import DatasetError
from brixa_flows.plugins import SERIALIZERS
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
    Serializer,
)
from brixa_flows.serializers.devices import refuse_all_but_cpu
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.held import map_path, open_held
from brixa_flows.serializers.pickled import predict_by_methods, save_by_value
from brixa_flows.serializers.pickling import (
    PICKLE_PROTOCOL,
    PICKLING_ERRORS,
    UNPICKLING_ERRORS,
    AnyDevice,
    unpicklable,
    unpickle,
    unreadable,
    why_by_value,
)

__all__ = ["MAPPED_FROM_BYTES", "SklearnSerializer"]

MAPPED_FROM_BYTES = 256 * 2**10
_FORMATS = ("joblib", "cloudpickle", "skops")
_PICKLE = b"\x80"  # how each pickle since protocol 2 begins
_NO_MORE_MAPS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class _Pickler(NumpyPickler):  # type: ignore[misc]  # joblib has no types
    """As ``joblib.dump``, but marks small arrays as not to be mapped.

    A mapped array holds a file descriptor, and an ensemble has thousands of arrays.
    """

    def _create_array_wrapper(self, array: Any) -> Any:
        wrapper = super()._create_array_wrapper(array)
        wrapper.allow_mmap = wrapper.allow_mmap and array.nbytes >= MAPPED_FROM_BYTES
        return wrapper


class _Unpickler(AnyDevice, NumpyUnpickler):  # type: ignore[misc]
    """joblib's, for estimators around tensors too."""


class SklearnSerializer:
    """``model.joblib``, ``model.skops``, or ``model.pkl`` by cloudpickle."""

    framework = "sklearn"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write ``model``: ``joblib`` (default), ``cloudpickle`` or ``skops``.

        Raises:
            SerializationError: If it can't be pickled; names the attribute to blame.
            MissingExtraError: If skops is asked for and not installed.
        """
        chosen = choose_format(options, self.framework, _FORMATS)
        if chosen == "skops":
            skops: Serializer = SERIALIZERS.load("skops")()
            return skops.save(model, directory, options)
        because = None if options.format else why_by_value(model)
        if because or chosen == "cloudpickle":
            return save_by_value(self.framework, model, directory, because)
        path = directory / "model.joblib"
        try:
            with path.open("wb") as file:
                _Pickler(file, protocol=PICKLE_PROTOCOL).dump(model)
        except PICKLING_ERRORS as err:
            raise unpicklable(model, err) from err
        return SavedModel(self.framework, "joblib", "code", path.name)

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
            return _load_mapped(path)
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


def _load_mapped(path: Path) -> Any:
    try:
        # Copy on write: pages are shared, and partial_fit may still change an array.
        return _read(path, map_path(path), "c")
    except OSError as err:
        if err.errno not in _NO_MORE_MAPS:
            raise
        return _read(path, None, None)


def _read(path: Path, mapped_from: Path | None, mode: str | None) -> Any:
    """As ``joblib.load``, but for what it reads and maps, and nothing compressed.

    Nobody compresses what is to be mapped, and what is not decompressed is no bomb.
    """
    with open_held(path) as file:
        if file.read(1) != _PICKLE:
            raise ValueError("it is compressed, or no joblib file")
        file.seek(0)
        return _Unpickler(
            # An array notes the file that a path leads to, for workers of joblib.
            mapped_from or path,
            file,
            ensure_native_byte_order=mapped_from is None,
            mmap_mode=mode if mapped_from else None,
        ).load()
