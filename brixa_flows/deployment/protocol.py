"""Requests and answers of the Open Inference Protocol v2 in JSON, with no server."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.signature import Inputs, InputSignature
from brixa_flows.deployment.tensors import decode_tensor, encode_tensor, json_values
from brixa_flows.errors import BadRequestError
from brixa_flows.serializers.base import Prediction

__all__ = [
    "InferRequest",
    "encode_answer",
    "encode_predictions",
    "parse_body",
    "parse_infer",
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
    """

    id: str | None
    inputs: Inputs
    rows: int
    outputs: tuple[str, ...] = ()


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
    except ValueError as err:
        raise BadRequestError("body", f"is not JSON: {str(err)[:200]}") from err


def _constant(text: str) -> None:
    if text != "NaN":
        _refuse_infinity(text)


def _refuse_infinity(text: str) -> NoReturn:
    raise BadRequestError("body", f"{text} is not a number that JSON or a model knows")


def parse_infer(body: Any, signature: InputSignature) -> InferRequest:
    """Read an inference request.

    Args:
        body: The parsed JSON.
        signature: What the model takes.

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
    outputs = _wanted(body.get("outputs"))
    tensors = [decode_tensor(raw, place) for place, raw in enumerate(raw_inputs)]
    inputs, rows = signature.inputs_from(tensors)
    return InferRequest(request_id, inputs, rows, outputs)


def _wanted(raw: object) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise BadRequestError("outputs", "is not a list of objects with a name")
    names = []
    for position, item in enumerate(raw):
        name = item.get("name") if isinstance(item, dict) else None
        if name not in OUTPUT_NAMES:
            raise BadRequestError(
                f"outputs[{position}].name",
                f"{str(name)[:40]!r} is not an output; there are "
                f"{' and '.join(OUTPUT_NAMES)}",
            )
        names.append(str(name))
    return tuple(names)


def encode_answer(
    request: InferRequest, prediction: Prediction, *, model_name: str, version: str
) -> dict[str, Any]:
    """The protocol's answer, ready to be written as JSON.

    Raises:
        BadRequestError: If probabilities are wanted of a model that has none.
    """
    wanted = request.outputs or OUTPUT_NAMES
    outputs = []
    if PREDICT in wanted:
        outputs.append(encode_tensor(PREDICT, prediction.values))
    if PROBABILITIES in wanted and prediction.scores is not None:
        classes = {"classes": _labels(prediction)} if prediction.classes else None
        outputs.append(encode_tensor(PROBABILITIES, prediction.scores, classes))
    if not outputs:
        raise BadRequestError("outputs", "this model gives no probabilities")
    answer: dict[str, Any] = {
        "model_name": model_name,
        "model_version": version,
        "outputs": outputs,
    }
    if request.id is not None:
        answer["id"] = request.id
    return answer


def encode_predictions(
    prediction: Prediction, *, model_name: str, version: str
) -> dict[str, Any]:
    """The answer to plain JSON records: one prediction a record."""
    answer: dict[str, Any] = {
        "model_name": model_name,
        "model_version": version,
        "predictions": _nested(prediction.values),
    }
    if prediction.scores is not None:
        answer["probabilities"] = _nested(prediction.scores)
        answer["classes"] = _labels(prediction)
    return answer


def _nested(values: NDArray[Any]) -> list[Any]:
    if values.ndim <= 1:
        return json_values(values)
    return [_nested(row) for row in values]


def _labels(prediction: Prediction) -> list[Any]:
    return [_scalar(label) for label in prediction.classes or ()]


def _scalar(label: object) -> object:
    value = label.item() if isinstance(label, np.generic) else label
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)
