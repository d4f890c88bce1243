"""The signature of an MLflow model as JSON Schemas: the way back of ``signature``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["schemas_of"]

JsonSchema = dict[str, Any]

_TYPES: dict[str, JsonSchema] = {
    "boolean": {"type": "boolean", "x-dtype": "bool"},
    "integer": {"type": "integer", "x-dtype": "int32"},
    "long": {"type": "integer", "x-dtype": "int64"},
    "float": {"type": "number", "x-dtype": "float32"},
    "double": {"type": "number", "x-dtype": "float64"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "format": "date-time", "x-dtype": "datetime64[ns]"},
}
_TENSORS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}


def schemas_of(
    signature: Mapping[str, Any] | None,
) -> tuple[JsonSchema | None, JsonSchema | None]:
    """Input and output schema of one record, ``None`` where nothing is said.

    Args:
        signature: As the ``MLmodel`` file has it: ``inputs`` and ``outputs``, JSON.
    """
    if signature is None:
        return None, None
    inputs = _record(_fields(signature.get("inputs")))
    outputs = _record(_fields(signature.get("outputs")))
    if outputs is None:
        return inputs, None
    columns = list(outputs.get("properties", {"": outputs}).values())
    predicted = columns[0]
    if len(columns) > 1:
        width = len(columns)
        predicted = {"type": "array", "minItems": width, "maxItems": width}
        if all(each == columns[0] for each in columns):
            predicted["items"] = columns[0]
    return inputs, _object({"prediction": predicted}, ["prediction"])


def _fields(text: object) -> list[Mapping[str, Any]]:
    if not isinstance(text, str):
        return []
    fields = json.loads(text)
    return list(fields) if isinstance(fields, list) else []


def _record(fields: Sequence[Mapping[str, Any]]) -> JsonSchema | None:
    if not fields:
        return None
    if "name" not in fields[0]:
        return _part(fields[0])
    required = [str(each["name"]) for each in fields if each.get("required", True)]
    parts = {str(each["name"]): _part(each) for each in fields}
    return _object(parts, required)


def _part(field: Mapping[str, Any]) -> JsonSchema:
    kind = field.get("type")
    if kind == "tensor":
        return _tensor(field["tensor-spec"])
    if kind == "array":
        return {"type": "array", "items": _part(field.get("items", {}))}
    if kind == "object":
        named = field.get("properties", {})
        required = [name for name, each in named.items() if each.get("required", True)]
        return _object({name: _part(each) for name, each in named.items()}, required)
    if kind == "map":
        return {
            "type": "object",
            "additionalProperties": _part(field.get("values", {})),
        }
    schema = dict(_TYPES.get(str(kind), {}))
    if "type" in schema and field.get("required") is False:
        schema["type"] = [schema["type"], "null"]
    return schema


def _tensor(spec: Mapping[str, Any]) -> JsonSchema:
    """Of one sample; the first size is that of the batch."""
    dtype = str(spec.get("dtype", ""))
    kind = _TENSORS.get(_letter(dtype))
    schema: JsonSchema = {} if kind is None else {"type": kind, "x-dtype": dtype}
    if dtype in ("str", "object"):
        schema = {"type": "string"} if dtype == "str" else {}
    for length in reversed(list(spec.get("shape", ()))[1:]):
        schema = {"type": "array", "items": schema}
        if int(length) >= 0:
            schema |= {"minItems": int(length), "maxItems": int(length)}
    return schema


def _letter(dtype: str) -> str:
    """``f`` of ``float32``; ``bool`` and ``bfloat16`` begin alike."""
    if dtype == "bool":
        return "b"
    return dtype[:1] if dtype.rstrip("0123456789") in ("float", "int", "uint") else ""


def _object(properties: dict[str, JsonSchema], required: list[str]) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": required}
