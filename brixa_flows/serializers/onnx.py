"""ONNX models: the protobuf as it is, run by ONNX Runtime.

Parsing runs no code: custom operators need a library of theirs, and none is ever loaded.
Weights beside the model may only be those that we wrote there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.devices import choose_device
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.held import origin_of
from brixa_flows.serializers.pickling import unreadable

__all__ = ["ONE_FILE_BYTES", "ONNXSerializer"]

# A protobuf message ends at 2 GiB; what is larger has its weights in a file beside it.
ONE_FILE_BYTES = 2**31 - 2**20
_FILE, _FOLDER, _WEIGHTS = "model.onnx", "model", "weights.bin"
_FOLDER_OPTION = "session.model_external_initializers_file_folder_path"
_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
_TYPES = {
    "tensor(bool)": np.bool_,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(int8)": np.int8,
    "tensor(string)": np.object_,
    "tensor(uint8)": np.uint8,
}
# ONNX Runtime and protobuf raise classes of their own with no common public base.
_RUNTIME_ERRORS = (Exception,)


class ONNXSerializer:
    """``model.onnx``, or ``model/`` with the weights beside it from 2 GiB on (data).

    Takes a ``ModelProto`` or an ``InferenceSession``, and always gives a session back.
    """

    framework = "onnx"

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Write the graph.

        Raises:
            SerializationError: If its weights are elsewhere, or it is no valid model.
        """
        choose_format(options, self.framework, ("onnx",))
        proto = _proto_of(model)
        elsewhere = next(_external_files(proto), None)
        if elsewhere is not None:
            raise SerializationError(
                f"the ModelProto has its weights in the file {elsewhere!r}, which is not "
                "part of it; read both with onnx.load(path) and save that"
            )
        if proto.ByteSize() < ONE_FILE_BYTES:
            (directory / _FILE).write_bytes(proto.SerializeToString())
            entry = _FILE
        else:
            _save_beside(proto, directory / _FOLDER)
            entry = _FOLDER
        return SavedModel(
            self.framework, "onnx", "data", entry, {"labels": _labels_of(proto)}
        )

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """An ``InferenceSession`` on the device.

        Raises:
            SerializationError: If the file can't be read with what is installed.
            DeviceUnavailableError: If the device is not there; lists those present.
        """
        providers = _providers(options)
        path = directory / saved.entry
        allowed: frozenset[str] = frozenset()
        if saved.entry == _FOLDER:
            path, allowed = path / _FILE, frozenset({_WEIGHTS})
        try:
            proto = onnx.load(path, load_external_data=False)
            for file in _external_files(proto):
                if file not in allowed:
                    raise ValueError(
                        f"it has weights in {file!r}, outside of the version"
                    )
            session = _session(path, proto if allowed else None, providers)
        except _RUNTIME_ERRORS as err:
            raise unreadable(path, err) from err
        session.brixa_origin = origin_of(path)  # the path it has will be gone
        session.brixa_labels = saved.config.get("labels")
        return session

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Run the graph; a classifier answers with labels, probabilities and classes.

        The values are its first output.

        Raises:
            DatasetError: If the graph refuses the inputs.
        """
        session, labels = _runnable(model)
        try:
            outputs = session.run(None, _feed(session, inputs))
        except _RUNTIME_ERRORS as err:
            raise DatasetError(f"the ONNX model refused the inputs: {err}") from err
        values = np.asarray(outputs[0])
        if len(outputs) != 2:
            return Prediction(values)
        if isinstance(outputs[1], list) and outputs[1]:
            labels = list(outputs[1][0])
            scores = np.array([[row[label] for label in labels] for row in outputs[1]])
            return Prediction(values, scores, tuple(labels))
        scores = np.asarray(outputs[1])
        if labels is None or scores.shape != (len(values), len(labels)):
            return Prediction(values)
        return Prediction(values, scores, tuple(labels))


def _session(path: Path, beside: Any, providers: list[str]) -> Any:
    """A session of one file, or of the graph ``beside`` its weights.

    ONNX Runtime takes weights from below a folder only, and follows links before it looks.
    """
    if beside is None:
        return _session_of(str(path), None, providers)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(_FOLDER_OPTION, str(origin_of(path).parent))
    return _session_of(beside.SerializeToString(), options, providers)


def _session_of(model: str | bytes, options: Any, providers: Any) -> Any:
    """A session on these devices; by itself it would go on without them, and print so."""
    return onnxruntime.InferenceSession(
        model, options, providers=providers, enable_fallback=0
    )


def _proto_of(model: Any) -> Any:
    if isinstance(model, onnx.ModelProto):
        return model
    if hasattr(model, "brixa_origin"):
        return onnx.load(model.brixa_origin)
    # Nothing public tells what a session was made of.
    content = model._model_bytes
    if content is not None:
        return onnx.load_model_from_string(bytes(content))
    return onnx.load(model._model_path)


def _save_beside(proto: Any, folder: Path) -> None:
    folder.mkdir()
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)  # saving moves the weights out of the message
    onnx.save_model(
        copied, folder / _FILE, save_as_external_data=True, location=_WEIGHTS
    )


def _external_files(message: Any) -> Iterator[str]:
    """Files that the tensors of a message keep their weights in, at any depth."""
    if isinstance(message, onnx.TensorProto):
        if message.data_location == onnx.TensorProto.EXTERNAL:
            named = {each.key: each.value for each in message.external_data}
            yield named.get("location", "")
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in (value,) if hasattr(value, "ListFields") else value:
                yield from _external_files(each)


def _labels_of(proto: Any) -> list[Any] | None:
    """Labels of the classes, if the graph ends in a classifier of ONNX-ML."""
    for node in reversed(proto.graph.node):
        for attribute in node.attribute:
            if attribute.name in _LABELS:
                values = onnx.helper.get_attribute_value(attribute)
                return [
                    each.decode() if isinstance(each, bytes) else each
                    for each in values
                ]
    return None


def _providers(options: LoadOptions) -> list[str]:
    if options.dtype is not None:
        raise SerializationError(
            f"dtype={options.dtype!r} can't be applied to an ONNX model; convert it "
            "before it is saved"
        )
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    device = choose_device(options.device, ("cuda:0", "cpu") if has_cuda else ("cpu",))
    on_cpu = "CPUExecutionProvider"
    return [on_cpu] if device == "cpu" else ["CUDAExecutionProvider", on_cpu]


def _runnable(model: Any) -> tuple[Any, Any]:
    if isinstance(model, onnxruntime.InferenceSession):
        labels = getattr(model, "brixa_labels", None)
        return model, labels if labels is not None else _labels_of(_proto_of(model))
    content = model.SerializeToString()
    providers = _providers(LoadOptions())
    return _session_of(content, None, providers), _labels_of(model)


def _feed(session: Any, inputs: Any) -> dict[str, NDArray[Any]]:
    """Arrays by input name: one table for one input, else columns by name."""
    wanted = session.get_inputs()
    names = {each.name for each in wanted}
    is_table = hasattr(inputs, "columns")
    by_name = isinstance(inputs, Mapping) or (is_table and names <= set(inputs.columns))
    if not by_name and len(wanted) > 1:
        raise ValueError(f"it takes several inputs by name: {sorted(names)}")
    if not by_name:
        return {wanted[0].name: _as_array(inputs, wanted[0])}
    if isinstance(inputs, Mapping) and names.isdisjoint(inputs) and len(wanted) == 1:
        columns = np.column_stack([np.asarray(each) for each in inputs.values()])
        return {wanted[0].name: _as_array(columns, wanted[0])}
    return {each.name: _as_column(inputs[each.name], each) for each in wanted}


def _as_array(values: Any, wanted: Any) -> NDArray[Any]:
    return np.asarray(values).astype(_TYPES.get(wanted.type, np.float32), copy=False)


def _as_column(values: Any, wanted: Any) -> NDArray[Any]:
    """Of shape (n_samples, 1) where the graph takes a column and one row is a number."""
    array = _as_array(values, wanted)
    return array[:, None] if array.ndim == 1 and len(wanted.shape) == 2 else array
