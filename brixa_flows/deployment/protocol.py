"""Requests and answers of the Open Inference Protocol v2, with no server.

JSON, and the binary data extension: tensors whose values follow the JSON as bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from numpy.typing import NDArray

from brixa_flows.deployment.raw import BinaryPart, decode_binary, encode_raw, is_binary
from brixa_flows.deployment.signature import Inputs, InputSignature
from brixa_flows.deployment.tensors import (
    datatype_of,
    decode_tensor,
    encode_tensor,
    json_scalar,
    json_values,
    of_one_type,
)
from brixa_flows.errors import BadRequestError
from brixa_flows.serializers.base import Prediction

__all__ = [
    "OUTPUT_NAMES",
    "InferRequest",
    "encode_answer",
    "encode_predictions",
    "outputs_of",
    "parse_body",
    "parse_infer",
    "split_body",
    "wanted_outputs",
]

PREDICT = "predict"
PROBABILITIES = "probabilities"
OUTPUT_NAMES = (PREDICT, PROBABILITIES)


@dataclass(frozen=True)
class InferRequest:
    """A request that was read and checked.

    Attributes:
        id: The caller's id, if any.
        inputs: What to give the model.
        rows: Number of rows.
        outputs: Names of the outputs that are wanted; empty means all.
        binary: Names of those that are wanted as bytes.
    """

    id: str | None
    inputs: Inputs
    rows: int
    outputs: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()


def split_body(body: bytes, json_bytes: int | None) -> tuple[Any, BinaryPart]:
    """Read a body whose first bytes are JSON and the rest values of its tensors.

    Args:
        body: All of it.
        json_bytes: Length of the JSON; ``None`` if there is nothing else.

    Raises:
        BadRequestError: If it is shorter, or the JSON can't be read.
    """
    if json_bytes is None:
        return parse_body(body), BinaryPart(memoryview(b""))
    if not 0 < json_bytes <= len(body):
        raise BadRequestError(
            "inference-header-content-length",
            f"is {json_bytes}, but the body has {len(body)} bytes and begins with JSON",
        )
    return parse_body(body[:json_bytes]), BinaryPart(memoryview(body)[json_bytes:])


def parse_body(body: bytes) -> Any:
    """Read JSON; the literal ``NaN`` that some clients write counts as ``null``.

    Raises:
        BadRequestError: If it is none, too deep, or holds an infinite number.
    """
    if not body:
        raise BadRequestError("body", "is empty; send a JSON object")
    try:
        return json.loads(body, parse_constant=_constant)
    except BadRequestError:
        raise
    except RecursionError as err:
        raise BadRequestError("body", "is nested too deeply") from err
    except (json.JSONDecodeError, UnicodeDecodeError) as err:
        raise BadRequestError("body", f"is not JSON: {str(err)[:200]}") from err
    except ValueError as err:
        raise BadRequestError(
            "body", "a whole number in it has more digits than any model knows"
        ) from err


def _constant(text: str) -> None:
    if text != "NaN":
        _refuse_infinity(text)


def _refuse_infinity(text: str) -> NoReturn:
    raise BadRequestError("body", f"{text} is not a number that JSON or a model knows")


def parse_infer(body: Any, signature: InputSignature, part: BinaryPart) -> InferRequest:
    """Read an inference request.

    Args:
        body: The parsed JSON.
        signature: What the model takes.
        part: Values that follow the JSON.

    Raises:
        BadRequestError: If it can't be answered; names the field.
    """
    if not isinstance(body, dict):
        raise BadRequestError("body", "is not a JSON object with a list of inputs")
    request_id = body.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise BadRequestError("id", "is not a text")
    raw_inputs = body.get("inputs")
    if not isinstance(raw_inputs, list) or not raw_inputs:
        raise BadRequestError("inputs", "give a list with at least one tensor")
    all_binary = _flag(body.get("parameters"), "binary_data_output", "parameters")
    outputs = wanted_outputs(body.get("outputs"), bool(all_binary))
    tensors = [
        decode_binary(raw, place, part) if is_binary(raw) else decode_tensor(raw, place)
        for place, raw in enumerate(raw_inputs)
    ]
    part.check_used_up()
    inputs, rows = signature.inputs_from(tensors)
    binary = frozenset(name for name, as_bytes in outputs.items() if as_bytes)
    if not outputs and all_binary:
        binary = frozenset(OUTPUT_NAMES)
    return InferRequest(request_id, inputs, rows, tuple(outputs), binary)


def wanted_outputs(raw: object, binary: bool) -> dict[str, bool]:
    """Names of the outputs, and whether as bytes; ``binary`` unless they say."""
    if raw is None:
        return {}
    if not isinstance(raw, list):
        raise BadRequestError("outputs", "is not a list of objects with a name")
    wanted = {}
    for position, item in enumerate(raw):
        name = item.get("name") if isinstance(item, dict) else None
        if name not in OUTPUT_NAMES:
            raise BadRequestError(
                f"outputs[{position}].name",
                f"{str(name)[:40]!r} is not an output; there are "
                f"{' and '.join(OUTPUT_NAMES)}",
            )
        field = f"outputs[{position}].parameters"
        said = _flag(item.get("parameters"), "binary_data", field)
        wanted[str(name)] = binary if said is None else said
    return wanted


def _flag(parameters: object, name: str, field: str) -> bool | None:
    """A parameter that is true or false; parameters that we don't know are ignored."""
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        raise BadRequestError(field, "is not an object")
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"{field}.{name}", "is neither true nor false")
    return value


def encode_answer(
    request: InferRequest, prediction: Prediction, *, model_name: str, version: str
) -> tuple[dict[str, Any], bytes]:
    """The protocol's answer: an object to be written as JSON, and what follows it.

    Raises:
        BadRequestError: If probabilities are wanted of a model that has none.
    """
    wanted = request.outputs or OUTPUT_NAMES
    outputs, chunks = [], []
    for name, values, parameters in outputs_of(prediction):
        if name not in wanted:
            continue
        if name in request.binary:
            chunks.append(encode_raw(values))
            outputs.append(_binary_output(name, values, parameters, len(chunks[-1])))
        else:
            outputs.append(encode_tensor(name, values, parameters))
    if not outputs:
        raise BadRequestError("outputs", "this model gives no probabilities")
    answer: dict[str, Any] = {
        "model_name": model_name,
        "model_version": version,
        "outputs": outputs,
    }
    if request.id is not None:
        answer["id"] = request.id
    return answer, b"".join(chunks)


def outputs_of(
    prediction: Prediction,
) -> Iterator[tuple[str, NDArray[Any], dict[str, Any] | None]]:
    """Name, values and parameters of what a model gave."""
    yield PREDICT, of_one_type(prediction.values), None
    if prediction.scores is not None:
        classes = {"classes": _labels(prediction)} if prediction.classes else None
        yield PROBABILITIES, prediction.scores, classes


def _binary_output(
    name: str, values: NDArray[Any], parameters: dict[str, Any] | None, size: int
) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(values.shape),
        "datatype": datatype_of(values),
        "parameters": {**(parameters or {}), "binary_data_size": size},
    }


def encode_predictions(
    prediction: Prediction, *, model_name: str, version: str
) -> dict[str, Any]:
    """The answer to plain JSON records: one prediction a record."""
    answer: dict[str, Any] = {
        "model_name": model_name,
        "model_version": version,
        "predictions": _nested(of_one_type(prediction.values)),
    }
    if prediction.scores is not None:
        answer["probabilities"] = _nested(prediction.scores)
        answer["classes"] = _labels(prediction)
    return answer


def _nested(values: NDArray[Any]) -> list[Any]:
    if values.ndim <= 1:
        mixed = values.dtype.kind == "O"
        return list(map(json_scalar, values)) if mixed else json_values(values)
    return [_nested(row) for row in values]


def _labels(prediction: Prediction) -> list[Any]:
    return [json_scalar(label) for label in prediction.classes or ()]
