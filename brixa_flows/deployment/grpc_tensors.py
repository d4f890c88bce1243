"""Requests and answers of the Open Inference Protocol v2 as gRPC messages, with no server.

A tensor's values stand in its typed ``contents``, or all tensors' as bytes in
``raw_input_contents``; an answer is raw if its request was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.grpc_messages import MESSAGES
from brixa_flows.deployment.protocol import (
    OUTPUT_NAMES,
    InferRequest,
    outputs_of,
    wanted_outputs,
)
from brixa_flows.deployment.raw import (
    RAW_DATATYPES,
    decode_raw,
    encode_raw,
    octets_of,
)
from brixa_flows.deployment.signature import InputSignature
from brixa_flows.deployment.tensors import (
    DATATYPES,
    Tensor,
    TensorHead,
    datatype_of,
    is_any,
    read_head,
)
from brixa_flows.errors import BadRequestError
from brixa_flows.serializers.base import Prediction

__all__ = [
    "InferredTensors",
    "fill_tensors",
    "read_answer",
    "read_infer",
    "write_answer",
]

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_TYPED_DATATYPES = tuple(_CONTENTS)
_CLASSES = "classes"


def read_infer(message: Any, signature: InputSignature) -> InferRequest:
    """Read a ``ModelInferRequest``.

    Args:
        message: The request.
        signature: What the model takes.

    Raises:
        BadRequestError: If it can't be answered; names the field.
    """
    if not message.inputs:
        raise BadRequestError("inputs", "give at least one tensor")
    raw = message.raw_input_contents
    wanted = [{"name": output.name} for output in message.outputs] or None
    outputs = tuple(wanted_outputs(wanted, bool(raw)))
    inputs, rows = signature.inputs_from(_tensors(message.inputs, raw))
    binary = frozenset(outputs or OUTPUT_NAMES) if raw else frozenset()
    return InferRequest(message.id or None, inputs, rows, outputs, binary)


def _tensors(listed: Any, raw: Any, *, may_be_infinite: bool = False) -> list[Tensor]:
    if raw and len(raw) != len(listed):
        raise BadRequestError(
            "raw_input_contents",
            f"has {len(raw)} entries for {len(listed)} inputs; send one for each, or "
            "contents in each of them",
        )
    tensors = []
    allowed = RAW_DATATYPES if raw else _TYPED_DATATYPES
    for position, tensor in enumerate(listed):
        head = _head_of(tensor, position, allowed)
        if not raw:
            tensors.append(_typed(head, tensor.contents, may_be_infinite))
        elif tensor.contents.ListFields():
            raise BadRequestError(
                head.field, "has both contents and raw_input_contents; send one"
            )
        else:
            facts = (head.name, head.datatype, head.shape, raw[position])
            tensors.append(decode_raw(*facts, may_be_infinite=may_be_infinite))
    return tensors


def _head_of(tensor: Any, position: int, allowed: tuple[str, ...]) -> TensorHead:
    name, datatype, shape = tensor.name, tensor.datatype, tuple(tensor.shape)
    if name and datatype in allowed and len(shape) == 1 and shape[0] > 0:
        # As nearly all are; a request has many of them.
        return TensorHead(name, datatype, shape, f"input {name[:100]!r}", {})
    described = {"name": name, "datatype": datatype, "shape": list(shape)}
    return read_head(described, position, allowed)


def _typed(head: TensorHead, contents: Any, may_be_infinite: bool) -> Tensor:
    name = _CONTENTS[head.datatype]
    filled = contents.ListFields()
    count = math.prod(head.shape)
    if len(filled) == 1 and filled[0][0].name == name and len(filled[0][1]) == count:
        # As nearly all requests are.
        values = _values(filled[0][1], head, may_be_infinite)
        return Tensor(head.name, head.datatype, _shaped(values, head.shape))
    others = {field.name for field, _ in filled} - {name}
    listed = getattr(contents, name)
    if others or len(listed) != count:
        raise BadRequestError(
            head.field,
            f"{head.datatype} of shape {list(head.shape)} needs {count} values in "
            f"contents.{name}, which has {len(listed)}"
            + (f"; {', '.join(sorted(others))} must be empty" if others else ""),
        )
    values = _values(listed, head, may_be_infinite)
    return Tensor(head.name, head.datatype, _shaped(values, head.shape))


def _shaped(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return values if len(shape) == 1 else values.reshape(shape)


def _values(listed: Any, head: TensorHead, may_be_infinite: bool) -> NDArray[Any]:
    dtype, field = DATATYPES[head.datatype], head.field
    count, kind = len(listed), dtype.kind
    if kind == "f":
        values = np.fromiter(listed, dtype, count)
        if not may_be_infinite and is_any(values, math.isinf, np.isinf):
            raise BadRequestError(field, "a value is infinite")
        return values
    if kind not in "iu":
        return np.fromiter(listed, dtype, count)
    wide = np.fromiter(listed, np.int64 if kind == "i" else np.uint64, count)
    narrowed = wide.astype(dtype, copy=False)
    if narrowed is not wide and not np.array_equal(narrowed, wide):
        limits = np.iinfo(dtype)
        raise BadRequestError(
            field, f"a value lies outside of {limits.min} to {limits.max}"
        )
    return narrowed


def write_answer(
    request: InferRequest, prediction: Prediction, *, model_name: str, version: str
) -> Any:
    """A ``ModelInferResponse``.

    Raises:
        BadRequestError: If probabilities are wanted of a model that has none.
    """
    answer = MESSAGES["ModelInferResponse"](
        model_name=model_name, model_version=version, id=request.id or ""
    )
    wanted = request.outputs or OUTPUT_NAMES
    outputs = [each for each in outputs_of(prediction) if each[0] in wanted]
    if not outputs:
        raise BadRequestError("outputs", "this model gives no probabilities")
    typed = all(datatype_of(values) in _CONTENTS for _, values, _ in outputs)
    raw = None if typed and not request.binary else answer.raw_output_contents
    fill_tensors(answer.outputs, ((name, values) for name, values, _ in outputs), raw)
    for tensor, (_, _, parameters) in zip(answer.outputs, outputs, strict=True):
        for name, value in (parameters or {}).items():
            # A parameter over gRPC is no list.
            tensor.parameters[name].string_param = json.dumps(value)
    return answer


def fill_tensors(
    listed: Any, tensors: Iterable[tuple[str, NDArray[Any]]], raw: Any
) -> None:
    """Write tensors.

    Args:
        listed: The field to fill.
        tensors: Their names and values.
        raw: The field for their values as bytes; ``None`` writes typed contents.
    """
    for name, values in tensors:
        datatype = datatype_of(values)
        tensor = listed.add(name=name, datatype=datatype, shape=values.shape)
        if raw is not None:
            raw.append(encode_raw(values))
        else:
            plain = (
                octets_of(values) if datatype == "BYTES" else values.ravel().tolist()
            )
            getattr(tensor.contents, _CONTENTS[datatype]).extend(plain)


class InferredTensors(NamedTuple):
    """What a ``ModelInferResponse`` carries.

    Attributes:
        values: By name of the output.
        classes: Labels in the order of the probabilities, if they are told.
    """

    values: dict[str, NDArray[Any]]
    classes: tuple[Any, ...] | None


def read_answer(answer: Any) -> InferredTensors:
    """Read a ``ModelInferResponse``; texts of it as ``str``.

    Raises:
        BadRequestError: If it is none that can be read.
    """
    values, classes = {}, None
    outputs, raw = answer.outputs, answer.raw_output_contents
    for tensor in _tensors(outputs, raw, may_be_infinite=True):
        values[tensor.name] = tensor.values
        if tensor.datatype == "BYTES":
            texts = [octets.decode("utf-8", "replace") for octets in tensor.values.flat]
            values[tensor.name] = np.array(texts, dtype=np.object_).reshape(
                tensor.values.shape
            )
    for tensor in answer.outputs:
        if _CLASSES in tensor.parameters:
            classes = tuple(json.loads(tensor.parameters[_CLASSES].string_param))
    return InferredTensors(values, classes)
