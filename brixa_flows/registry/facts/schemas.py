"""JSON Schemas of a version's inputs and outputs: checked, and inferred from data.

The schema of tabular inputs with names describes one row as an object; that of arrays,
one sample; that of texts, a string. Leaves carry ``x-dtype``, the NumPy type the model
was given, an annotation that no validator minds. Outputs are an object with
``prediction`` and, where the model has them, ``probabilities``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from numpy.typing import NDArray

from brixa_flows.errors import DatasetError, InvalidSchemaError
from brixa_flows.registry.facts.inputs import middle_left_out
from brixa_flows.serializers import serializer_for
from brixa_flows.serializers.base import Prediction

__all__ = ["check_schema", "infer_input_schema", "infer_schemas"]

JsonSchema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ROWS_PREDICTED = 100
_CLASSES_AT_MOST = 1000


def check_schema(field: str, schema: object) -> JsonSchema | None:
    """Return ``schema`` as plain JSON if it is a JSON Schema (draft 2020-12).

    Args:
        field: Name of the argument, for the message.
        schema: A mapping, or ``None`` for no schema.

    Raises:
        InvalidSchemaError: If it is none; names the place in it.
    """
    if schema is None:
        return None
    if not isinstance(schema, Mapping):
        kind = type(schema).__name__
        raise InvalidSchemaError(field, f"is a {kind}; give a JSON Schema as a mapping")
    try:
        text = json.dumps(dict(schema), allow_nan=False, ensure_ascii=False)
        text.encode()  # half of a surrogate pair is in no file
        plain: JsonSchema = json.loads(text)
    except (TypeError, ValueError, RecursionError) as err:
        raise InvalidSchemaError(field, f"is not JSON: {err}") from err
    dialect = plain.get("$schema", _DIALECT)
    if str(dialect).rstrip("#") != _DIALECT:
        raise InvalidSchemaError(
            field, f"at $.$schema: {dialect!r} is not supported; use {_DIALECT}"
        )
    error = best_match(
        Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(plain)
    )
    if error is not None:
        raise InvalidSchemaError(field, _no_schema(error)) from error
    for path, part in _subschemas(plain, "$"):
        place = middle_left_out(path)
        _check_pattern(field, place, part)
        _check_reference(field, place, part, plain)
    return plain


def _no_schema(error: SchemaError) -> str:
    # The message repeats the value, which may be long: what is wrong stands last.
    place, said = middle_left_out(error.json_path), middle_left_out(error.message)
    return f"is no JSON Schema (draft 2020-12) at {place}: {said}"


def _check_pattern(field: str, place: str, part: JsonSchema) -> None:
    patterns = [part["pattern"]] if "pattern" in part else []
    patterns += part.get("patternProperties", {})
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as err:
            raise InvalidSchemaError(
                field,
                f"at {place}: {middle_left_out(repr(pattern))} is no regular expression: {err}",
            ) from err


def _check_reference(
    field: str, place: str, part: JsonSchema, root: JsonSchema
) -> None:
    reference = part.get("$ref")
    if reference is None:
        return
    if not reference.startswith("#"):
        raise InvalidSchemaError(
            field,
            f"at {place}.$ref: {middle_left_out(repr(reference))} lies outside; put it into $defs and refer "
            "to '#/$defs/...'",
        )
    target: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if step and not (isinstance(target, dict) and step in target):
            raise InvalidSchemaError(
                field,
                f"at {place}.$ref: there is no {middle_left_out(repr(reference))} in it",
            )
        target = target[step] if step else target


_BY_NAME = ("properties", "patternProperties", "$defs", "dependentSchemas")
_SINGLE = (
    "items",
    "additionalProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")


def _subschemas(schema: Any, place: str) -> Iterator[tuple[str, JsonSchema]]:
    """Every schema inside a valid schema, with its JSON path."""
    if not isinstance(schema, dict):
        return
    yield place, schema
    for keyword in _BY_NAME:
        for name, part in schema.get(keyword, {}).items():
            yield from _subschemas(part, f"{place}.{keyword}.{name}")
    for keyword in _SINGLE:
        yield from _subschemas(schema.get(keyword), f"{place}.{keyword}")
    for keyword in _LISTS:
        for index, part in enumerate(schema.get(keyword, ())):
            yield from _subschemas(part, f"{place}.{keyword}[{index}]")


def infer_schemas(model: Any, X: Any) -> tuple[JsonSchema, JsonSchema]:
    """What the model takes and gives, seen from data it can predict.

    Args:
        model: A fitted model of any supported framework.
        X: Inputs as the model takes them, of shape (n_samples, ...): a pandas or
            polars frame, a Series, an Arrow table, an array, a mapping of arrays, or a
            list of texts. All rows are looked at, the first 100 are predicted.

    Returns:
        Input schema and output schema of one record.

    Raises:
        DatasetError: If there are no rows, or the model can't predict them.
    """
    input_schema = infer_input_schema(X)
    _, serializer = serializer_for(model, None)
    prediction = serializer.predict(model, first_rows(X, _ROWS_PREDICTED))
    return input_schema, _output_schema(prediction)


def first_rows(X: Any, rows: int) -> Any:
    """The first rows of any supported form of inputs, as a model takes them."""
    kind = _kind(X)
    if kind == "arrow":
        return X.slice(0, rows).to_pandas()
    if kind == "polars":
        return X.head(rows).to_pandas()
    if kind == "pandas":
        return X.iloc[:rows]
    if isinstance(X, Mapping):
        return {name: first_rows(part, rows) for name, part in X.items()}
    if hasattr(X, "detach"):
        return X[:rows].detach().cpu().numpy()
    return X[:rows]


def infer_input_schema(X: Any) -> JsonSchema:
    """The schema of one record of ``X`` (see :func:`infer_schemas`).

    Raises:
        DatasetError: If there are no rows, or the form is not known.
    """
    kind = _kind(X)
    if kind in ("arrow", "polars"):
        X = X.to_pandas()
        kind = "pandas"
    if kind == "pandas":
        return _pandas_schema(X)
    if isinstance(X, Mapping):
        return _object(
            {str(name): infer_input_schema(part) for name, part in X.items()}
        )
    return _array_schema(_as_array(X))


def _as_array(X: Any) -> NDArray[Any]:
    if hasattr(X, "detach"):
        X = X.detach().cpu()
    listed = isinstance(X, Sequence) and not isinstance(X, str | bytes)
    if not listed and not (hasattr(X, "__array__") and np.ndim(X)):
        raise DatasetError(
            f"inputs of type {type(X).__qualname__} can't be read; give a DataFrame, an "
            "array, a mapping of arrays, an Arrow table or a list of texts"
        )
    try:
        array = np.asarray(X)
    except ValueError as err:
        raise DatasetError(f"the inputs are not all of one shape: {err}") from err
    if len(array) == 0:
        raise DatasetError("the inputs have no rows; give at least one")
    return array


def _kind(X: Any) -> str:
    roots = {each.__module__.partition(".")[0] for each in type(X).__mro__}
    if "pyarrow" in roots:
        return "arrow"
    if "polars" in roots:
        return "polars"
    return "pandas" if "pandas" in roots and hasattr(X, "iloc") else ""


def _pandas_schema(frame: Any) -> JsonSchema:
    if len(frame) == 0:
        raise DatasetError("the inputs have no rows; give at least one")
    if not hasattr(frame, "columns"):
        return _column_schema(frame)
    columns = {}
    for position, name in enumerate(frame.columns):
        columns[str(name)] = _column_schema(frame.iloc[:, position])
    if len(columns) != len(frame.columns):
        raise DatasetError("two columns of the inputs have the same name")
    return _object(columns)


def _column_schema(column: Any) -> JsonSchema:
    missing = bool(column.isna().any())
    dtype = str(column.dtype)
    values = column.dropna()
    if dtype == "category":
        values = values.astype(values.cat.categories.dtype)
    if str(values.dtype).startswith("datetime64"):
        schema: JsonSchema = {"type": "string", "format": "date-time"}
    else:
        schema = _scalar_schema(values.to_numpy())
    schema["x-dtype"] = dtype
    if missing and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


def _scalar_schema(values: NDArray[Any]) -> JsonSchema:
    types = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}
    types |= {"U": "string", "S": "string", "T": "string", "M": "string"}
    if values.dtype.kind == "O":
        return _object_column_schema(values)
    known = types.get(values.dtype.kind)
    return {} if known is None else {"type": known}


def _object_column_schema(values: NDArray[Any]) -> JsonSchema:
    """Of an array of Python objects; says nothing where they are of many types."""
    kinds = {type(value) for value in values.flat}
    for name, allowed in (
        ("string", (str,)),
        ("boolean", (bool, np.bool_)),
        ("integer", (int, np.integer)),
        ("number", (int, float, np.integer, np.floating)),
    ):
        if kinds and all(issubclass(kind, allowed) for kind in kinds):
            mixed = bool in kinds and name != "boolean"
            return {} if mixed else {"type": name}
    return {}


def _array_schema(array: NDArray[Any]) -> JsonSchema:
    """Of one sample of an array of shape (n_samples, ...)."""
    schema = _scalar_schema(array)
    if array.dtype.kind != "O":
        text = array.dtype.kind in "US"
        schema["x-dtype"] = "str" if text else str(array.dtype)
    if array.dtype.kind == "f" and bool(np.isnan(array).any()):
        schema["type"] = [schema["type"], "null"]
    for length in reversed(array.shape[1:]):
        schema = {
            "type": "array",
            "items": schema,
            "minItems": length,
            "maxItems": length,
        }
    return schema


def _output_schema(prediction: Prediction) -> JsonSchema:
    value = _array_schema(np.asarray(prediction.values))
    properties = {"prediction": value}
    if prediction.classes is not None:
        classes = [_as_json(label) for label in prediction.classes]
        if value.get("type") != "array" and len(classes) <= _CLASSES_AT_MOST:
            value["enum"] = classes
    if prediction.scores is not None and prediction.scores.ndim == 2:
        width = prediction.scores.shape[1]
        properties["probabilities"] = {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "maximum": 1},
            "minItems": width,
            "maxItems": width,
        }
    return _object(properties)


def _as_json(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _object(properties: dict[str, JsonSchema]) -> JsonSchema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
