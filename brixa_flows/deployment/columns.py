"""One input of a model: what its values are, and how JSON becomes them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.tensors import (
    DATATYPES,
    Tensor,
    datatype_of,
    decode_values,
    flatten,
    has_missing,
    missing_mask,
)
from brixa_flows.errors import BadRequestError
from brixa_flows.prediction.value_rules import json_types

__all__ = ["Column", "ColumnKind"]

_EXACT_BELOW = 2.0**63

ColumnKind = Literal["number", "integer", "boolean", "string", "bytes", "any"]

_KINDS: dict[str, ColumnKind] = {
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
}
_DATATYPES: dict[ColumnKind, str] = {
    "number": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "string": "BYTES",
    "bytes": "BYTES",
    "any": "BYTES",
}
_DTYPE_KINDS: dict[ColumnKind, tuple[str, str]] = {
    "number": ("iuf", "takes numbers (FP64, FP32, INT64 ...)"),
    "integer": ("iuf", "takes whole numbers (INT64 ...)"),
    "boolean": ("b", "takes booleans (BOOL)"),
    "string": ("O", "takes texts (BYTES)"),
    "bytes": ("O", "takes bytes (BYTES)"),
}


@dataclass(frozen=True)
class Column:
    """A named input, or the only one of a model without names.

    Attributes:
        name: Its name.
        kind: What its values are; ``any`` is not checked.
        nullable: May a value be missing?
        required: Must it be sent?
        element: Shape of one row's value, -1 for a length that varies; ``None`` if
            nothing is known about it.
        dtype: The dtype the model was trained on (``float32``, ``category`` ...).
        is_base64: Of bytes: does JSON carry them in base64? Else as UTF-8.
    """

    name: str
    kind: ColumnKind
    nullable: bool = False
    required: bool = True
    element: tuple[int, ...] | None = ()
    dtype: str = ""
    is_base64: bool = False

    @classmethod
    def from_schema(cls, name: str, definition: object, required: bool) -> Column:
        """Read the JSON Schema of one row's value."""
        described = definition if isinstance(definition, Mapping) else {}
        element: tuple[int, ...] = ()
        while "array" in json_types(described):
            low, high = described.get("minItems"), described.get("maxItems")
            element += (int(low) if low is not None and low == high else -1,)
            items = described.get("items")
            described = items if isinstance(items, Mapping) else {}
        types = json_types(described)
        kinds = {_KINDS.get(each, "any") for each in types - {"null"}}
        if kinds == {"number", "integer"}:
            kinds = {"number"}
        kind: ColumnKind = kinds.pop() if len(kinds) == 1 else "any"
        nullable = "null" in types or not types or not required
        known = element if element or kind != "any" else None
        encoding, form = described.get("contentEncoding"), described.get("format")
        if kind == "string" and (encoding or form in ("binary", "byte")):
            kind = "bytes"
        dtype = str(described.get("x-dtype", ""))
        is_base64 = encoding == "base64" or form == "byte"
        return cls(name, kind, nullable, required, known, dtype, is_base64)

    @property
    def datatype(self) -> str:
        """The protocol's datatype that fits best."""
        try:
            exact = datatype_of(np.empty(0, dtype=self.dtype or None))
        except TypeError:
            exact = "BYTES"
        is_numeric = self.kind in ("number", "integer") and self.dtype
        return exact if is_numeric and exact != "BYTES" else _DATATYPES[self.kind]

    @property
    def shape(self) -> list[int]:
        """Its shape as the protocol's metadata writes it, rows first."""
        return [-1, *((-1,) if self.element is None else self.element)]

    def from_tensor(self, tensor: Tensor, rows: int) -> NDArray[Any]:
        """Check a tensor and give it the dtype that the model was trained on.

        Args:
            tensor: Of shape (n_rows, ...); (n_rows, 1) also stands for (n_rows,).
            rows: Number of rows that every input of the request has.

        Returns:
            Values of shape (n_rows, ...).

        Raises:
            BadRequestError: If shape, datatype or a missing value is not allowed.
        """
        field = f"input {self.name!r}"
        values = tensor.values
        if self.element == () and values.shape == (rows, 1):
            values = values.reshape(rows)
        if values.shape[0] != rows or not self._fits(values.shape[1:]):
            wanted = [rows, *(self.shape[1:])]
            alternative = f" or [{rows}, 1]" if self.element == () else ""
            raise BadRequestError(
                field,
                f"shape {list(tensor.values.shape)} does not fit; this request needs "
                f"{wanted}{alternative} (-1: any length)",
            )
        return self.checked(values, tensor.datatype, field)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        if self.element is None:
            return True
        return len(shape) == len(self.element) and all(
            known in (-1, size) for known, size in zip(self.element, shape, strict=True)
        )

    def from_json(self, values: list[Any], field: str) -> NDArray[Any]:
        """Read one JSON value a row (see :meth:`from_tensor`).

        Raises:
            BadRequestError: If a value does not fit; names ``field``.
        """
        shape = (len(values), *self._shape_like(values[0]))
        flat = flatten(values, shape, field)
        if self.kind == "any":
            return _guessed(flat, field).reshape(shape)
        datatype = _DATATYPES[self.kind]
        if self.kind == "integer" and float in set(map(type, flat)):
            datatype = "FP64"
        array = decode_values(flat, datatype, field)
        return self.checked(array.reshape(shape), datatype, field)

    def _shape_like(self, value: object) -> tuple[int, ...]:
        if self.element is not None and -1 not in self.element:
            return self.element
        shape: tuple[int, ...] = ()
        while isinstance(value, list) and value and len(shape) < 8:
            shape += (len(value),)
            value = value[0]
        return shape

    def checked(self, values: NDArray[Any], datatype: str, field: str) -> NDArray[Any]:
        """Values as the model takes them, of the same shape.

        Raises:
            BadRequestError: If they are of another kind or lack one that is needed.
        """
        if datatype == "BYTES" and self.kind in ("any", "string", "bytes"):
            values = self._texts_or_bytes(values, field)
        if self.kind == "any":
            return values
        if DATATYPES[datatype].kind not in _DTYPE_KINDS[self.kind][0]:
            raise BadRequestError(
                field, f"{_DTYPE_KINDS[self.kind][1]}, but datatype {datatype} was sent"
            )
        if not self.nullable and has_missing(values):
            row = int(np.argwhere(missing_mask(values))[0][0])
            raise BadRequestError(
                field,
                f"the value of row {row} is missing, and the model's schema does not "
                "allow null here",
            )
        if self.kind == "integer" and values.dtype.kind == "f":
            values = _whole(values, missing_mask(values), field)
        if self.kind == "string" and self.dtype.startswith("datetime64"):
            return _times(values, field)
        return self._as_trained(values, field)

    def _texts_or_bytes(self, values: NDArray[Any], field: str) -> NDArray[Any]:
        """What came as bytes and what came as texts, as this column takes it.

        Where the schema says nothing, they are texts if all of them can be.
        """
        if self.kind == "bytes":
            return _mapped(values, str, self._from_text, field)
        try:
            return _mapped(values, bytes, _to_text, field)
        except BadRequestError:
            if self.kind == "any":
                return values
            raise

    def _from_text(self, text: str) -> bytes:
        if not self.is_base64:
            return text.encode("utf-8", "surrogatepass")
        return base64.b64decode(text, validate=True)

    def _as_trained(self, values: NDArray[Any], field: str) -> NDArray[Any]:
        if self.kind not in ("number", "integer"):
            return values
        dtype = self._trained
        if dtype.kind in "iu" and values.dtype.kind == "f":
            return values
        return values if values.dtype == dtype else _narrowed(values, dtype, field)

    @cached_property
    def _trained(self) -> np.dtype[Any]:
        """The type of numbers that the model was trained on."""
        default = np.dtype(np.float64 if self.kind == "number" else np.int64)
        try:
            return np.dtype(self.dtype or default)
        except TypeError:
            return default

    def absent(self, rows: int) -> NDArray[Any]:
        """Missing values of shape (n_rows,), for an optional column not sent."""
        if self.kind in ("number", "integer"):
            return self._as_trained(np.full(rows, np.nan), f"input {self.name!r}")
        return np.full(rows, None, dtype=np.object_)


def _mapped(
    values: NDArray[Any], kind: type, change: Callable[[Any], Any], field: str
) -> NDArray[Any]:
    """Objects with those of a kind changed; one that can't be is refused by its row."""
    changed = np.array(values, dtype=np.object_)
    flat = changed.reshape(-1)
    for place, value in enumerate(flat):
        if isinstance(value, kind):
            try:
                flat[place] = change(value)
            except ValueError as err:
                row = place // (len(flat) // len(values))
                wanted = "in base64" if kind is str else "a text in UTF-8"
                raise BadRequestError(
                    field, f"the value of row {row} is not {wanted}"
                ) from err
    return changed


def _to_text(octets: bytes) -> str:
    return octets.decode()


def _narrowed(values: NDArray[Any], dtype: np.dtype[Any], field: str) -> NDArray[Any]:
    """Values in another dtype that holds them; numpy would wrap or make them infinite."""
    if dtype.kind in "iu" and values.dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise BadRequestError(
                field,
                f"a value lies outside of {limits.min} to {limits.max}; the model was "
                f"trained on {dtype.name}",
            )
    with np.errstate(over="ignore"):
        narrowed: NDArray[Any] = values.astype(dtype)
    if dtype.kind == "f" and np.isinf(narrowed).any():
        raise BadRequestError(
            field, f"a value is too large; the model was trained on {dtype.name}"
        )
    return narrowed


def _whole(
    values: NDArray[Any], missing: NDArray[np.bool_], field: str
) -> NDArray[Any]:
    """Whole numbers that came as floating ones, as JSON allows; NaN stays."""
    broken = (values != np.floor(values)) & ~missing
    if broken.any():
        row = int(np.argwhere(broken)[0][0])
        raise BadRequestError(field, f"the value of row {row} is not a whole number")
    if missing.any() or float(np.abs(values).max()) >= _EXACT_BELOW:
        return values
    return values.astype(np.int64)


def _times(values: NDArray[Any], field: str) -> NDArray[np.datetime64]:
    """ISO 8601 texts as UTC times in microseconds; a missing one is NaT."""
    flat = values.ravel()
    times = np.full(flat.shape, "NaT", dtype="datetime64[us]")
    for row, text in enumerate(flat):
        if text is not None:
            times[row] = _time(str(text), field, row)
    return times.reshape(values.shape)


def _time(text: str, field: str, row: int) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        offset = time.utcoffset()
        return time.replace(tzinfo=None) - (offset or timedelta())
    except (ValueError, OverflowError) as err:
        raise BadRequestError(
            field,
            f"the value of row {row}, {text[:40]!r}, is not a time such as "
            "2013-01-31T05:00:00",
        ) from err


def _guessed(flat: list[Any], field: str) -> NDArray[Any]:
    """Values of which the schema says nothing, by what they are."""
    types = set(map(type, flat))
    if types == {bool}:
        return decode_values(flat, "BOOL", field)
    if types == {int}:
        return decode_values(flat, "INT64", field)
    if types <= {int, float, type(None)}:
        return decode_values(flat, "FP64", field)
    if types & {list, dict}:
        raise BadRequestError(field, "holds a list or an object where a value belongs")
    return np.array(flat, dtype=np.object_)
