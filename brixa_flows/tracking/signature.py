"""JSON Schemas as the signature of an MLflow model.

MLflow describes inputs either as named columns or as tensors. A schema that neither
can say gives no signature: MLflow then checks nothing, and ours is in ``config.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["signature_of"]

JsonSchema = Mapping[str, Any]

_COLUMN_TYPES = {
    "boolean": "boolean",
    "integer": "long",
    "number": "double",
    "string": "string",
}
_TENSOR_TYPES = {"boolean": "bool", "integer": "int64", "number": "float64"}
_MOST_DIMENSIONS = 32


class _NotExpressible(Exception):
    """MLflow has no words for it."""


def signature_of(
    input_schema: JsonSchema | None, output_schema: JsonSchema | None
) -> dict[str, Any] | None:
    """The ``signature`` of an MLmodel file, ``None`` if there is nothing to say.

    Args:
        input_schema: JSON Schema of one input record.
        output_schema: JSON Schema of one output record; of ``{"prediction": ...,
            "probabilities": ...}`` the prediction is what MLflow's callers get.
    """
    inputs = _fields(input_schema)
    outputs = _fields(_predicted(output_schema))
    if inputs is None:
        return None
    return {
        "inputs": json.dumps(inputs),
        "outputs": None if outputs is None else json.dumps(outputs),
        "params": None,
    }


def _predicted(schema: JsonSchema | None) -> JsonSchema | None:
    if not isinstance(schema, Mapping):
        return None
    predicted = (schema.get("properties") or {}).get("prediction")
    return predicted if isinstance(predicted, Mapping) else schema


def _fields(schema: JsonSchema | None) -> list[dict[str, Any]] | None:
    if not isinstance(schema, Mapping):
        return None
    try:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return [_unnamed(schema)]
        if any(_is_tensor(part) for part in properties.values()):
            return [{"name": k, **_tensor(part)} for k, part in properties.items()]
        required = schema.get("required", ())
        return [
            {**_column(part), "name": name, "required": name in required}
            for name, part in properties.items()
        ] or None
    except _NotExpressible:
        return None


def _unnamed(schema: JsonSchema) -> dict[str, Any]:
    if _type_of(schema)[0] == "string":
        return {"type": "string", "required": True}
    return _tensor(schema)


def _type_of(schema: JsonSchema) -> tuple[str, bool]:
    """The type, and whether ``null`` is allowed beside it."""
    if not isinstance(schema, Mapping):
        raise _NotExpressible
    given = schema.get("type")
    types = [given] if isinstance(given, str) else list(given or ())
    named = [each for each in types if each != "null"]
    if len(named) != 1:
        raise _NotExpressible
    return str(named[0]), "null" in types


def _is_tensor(schema: Any) -> bool:
    """An array whose leaves carry the NumPy type that the model was given."""
    if not isinstance(schema, Mapping) or schema.get("type") != "array":
        return False
    while isinstance(schema, Mapping) and schema.get("type") == "array":
        schema = schema.get("items")
    return isinstance(schema, Mapping) and "x-dtype" in schema


def _column(schema: JsonSchema | bool) -> dict[str, Any]:
    if not isinstance(schema, Mapping):  # true and false are schemas too
        return {"type": "any"}
    dtype = str(schema.get("x-dtype", ""))
    if schema.get("type") is None or dtype == "category":
        return {"type": "any"}  # as "string" MLflow would refuse a category
    kind, nullable = _type_of(schema)
    if kind == "array":
        items = schema.get("items")
        return {"type": "array", "items": _element(items)}
    if kind not in _COLUMN_TYPES:
        raise _NotExpressible
    if dtype.startswith("datetime64"):
        return {"type": "datetime"}
    if kind == "integer" and (nullable or dtype == "uint64"):
        return {"type": "double"}  # pandas holds integers with gaps as floats
    return {"type": _COLUMN_TYPES[kind]}


def _element(schema: Any) -> dict[str, Any]:
    kind, _ = _type_of(schema)
    if kind == "array":
        return {"type": "array", "items": _element(schema.get("items"))}
    if kind not in _COLUMN_TYPES:
        raise _NotExpressible
    return {"type": _COLUMN_TYPES[kind]}


def _tensor(schema: JsonSchema) -> dict[str, Any]:
    shape = [-1]
    while _type_of(schema)[0] == "array":
        least, most = schema.get("minItems"), schema.get("maxItems")
        shape.append(int(least) if least is not None and least == most else -1)
        schema = schema.get("items") or {}
        if len(shape) > _MOST_DIMENSIONS:
            raise _NotExpressible
    kind, _ = _type_of(schema)
    dtype = schema.get("x-dtype") or _TENSOR_TYPES.get(kind)
    if dtype is None or kind not in _TENSOR_TYPES:
        raise _NotExpressible
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}
