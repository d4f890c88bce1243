"""Plain JSON records, checked against a model's input schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from brixa_flows.deployment.columns import Column
from brixa_flows.deployment.signature import Inputs, InputSignature
from brixa_flows.errors import BadRequestError, some_of

__all__ = ["RecordReader"]

_MISSING = object()
_PLAIN = frozenset(
    {"type", "title", "description", "default", "examples", "format", "$schema", "$id"}
    | {"properties", "required", "items", "minItems", "maxItems"}
)


class RecordReader:
    """Reads ``{"records": [...]}`` or a bare list for one model.

    Types, required columns and nulls are checked by column, which is quick; a schema
    that says more (``enum``, ``minimum``, ``pattern`` ...) is also validated record by
    record.

    Args:
        signature: What the model takes.
    """

    def __init__(self, signature: InputSignature) -> None:
        self._signature = signature
        schema = signature.schema
        says_more = schema is not None and _says_more(schema)
        self._validator = Draft202012Validator(schema) if says_more else None

    def read(self, body: Any) -> tuple[Inputs, int]:
        """What to give the model, and the number of rows.

        Raises:
            BadRequestError: If a record does not fit; names the record and the field.
        """
        records = body.get("records") if isinstance(body, dict) else body
        if not isinstance(records, list) or not records:
            raise BadRequestError(
                "records", 'send {"records": [...]} or a list with at least one record'
            )
        if self._signature.columns is None:
            inputs = self._rows(records)
        else:
            inputs = self._columns(records)
        for position, record in enumerate(records if self._validator else ()):
            self._validate(record, position)
        return inputs, len(records)

    def _columns(self, records: list[Any]) -> Inputs:
        names = set(self._signature.names)
        for position, record in enumerate(records):
            if not isinstance(record, dict):
                raise BadRequestError(f"records[{position}]", "is not an object")
            if not self._signature.open and not record.keys() <= names:
                unknown = sorted(record.keys() - names)[0]
                raise BadRequestError(
                    f"records[{position}]",
                    f"the model has no column {unknown[:100]!r}; its columns: "
                    f"{some_of(self._signature.names)}",
                )
        columns = self._signature.columns or ()
        return {column.name: _column(column, records) for column in columns}

    def _rows(self, records: list[Any]) -> Inputs:
        for position, record in enumerate(records):
            if isinstance(record, dict):
                raise BadRequestError(
                    f"records[{position}]",
                    "this model has no named columns: send each record as a list",
                )
        return self._signature.single.from_json(records, "records")

    def _validate(self, record: object, position: int) -> None:
        assert self._validator is not None
        error = next(iter(self._validator.iter_errors(record)), None)
        if error is not None:
            path = "".join(f".{part}" for part in error.absolute_path)
            raise BadRequestError(f"records[{position}]{path}", error.message[:300])


def _column(column: Column, records: list[dict[str, Any]]) -> NDArray[Any]:
    values = [record.get(column.name, _MISSING) for record in records]
    if any(value is _MISSING for value in values):
        if column.required:
            position = next(i for i, value in enumerate(values) if value is _MISSING)
            raise BadRequestError(
                f"records[{position}]", f"the column {column.name!r} is missing"
            )
        values = [None if value is _MISSING else value for value in values]
    if column.element and column.nullable and None in values:
        if values.count(None) == len(values):
            return column.absent(len(values))
        raise BadRequestError(
            f"records[{values.index(None)}]",
            f"the column {column.name!r} has no list here, but in other records of this "
            "request; send those that have none in a request of their own",
        )
    return column.from_json(values, f"records, column {column.name!r}")


def _says_more(schema: Mapping[str, Any]) -> bool:
    """Does a schema check what the columns do not?"""
    checked = {key for key in schema if not key.startswith("x-")}
    if schema.get("additionalProperties") in (None, True, False):
        checked.discard("additionalProperties")
    if not checked <= _PLAIN:
        return True
    inner = [*schema.get("properties", {}).values()]
    inner += [schema["items"]] if "items" in schema else []
    return any(isinstance(part, Mapping) and _says_more(part) for part in inner)
