"""What a model takes, read from its input schema: named columns or one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from numpy.typing import NDArray

from brixa_flows.deployment.columns import Column
from brixa_flows.deployment.tensors import Tensor, names_of
from brixa_flows.errors import BadRequestError, some_of

__all__ = ["InputSignature", "Inputs"]

Inputs: TypeAlias = "dict[str, NDArray[Any]] | NDArray[Any]"

_UNNAMED = "input-0"
_UNKNOWN = Column(_UNNAMED, "any", nullable=True, element=None)


@dataclass(frozen=True)
class InputSignature:
    """The inputs of a model.

    Attributes:
        columns: Its named columns; ``None`` if it takes one unnamed tensor.
        single: That tensor.
        schema: The JSON Schema of one record, ``None`` if there is none.
        open: Are columns that the schema does not name allowed (and ignored)?
    """

    columns: tuple[Column, ...] | None
    single: Column
    schema: Mapping[str, Any] | None
    open: bool = False

    @classmethod
    def from_schema(cls, schema: Mapping[str, Any] | None) -> InputSignature:
        """Read a model's input schema; one that names no columns means one tensor."""
        if schema is None:
            return cls(None, _UNKNOWN, None)
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            is_object = schema.get("type") == "object"
            single = Column.from_schema(_UNNAMED, {} if is_object else schema, True)
            return cls(None, single, schema)
        required = set(schema.get("required", ()))
        columns = tuple(
            Column.from_schema(str(name), definition, name in required)
            for name, definition in properties.items()
        )
        return cls(
            columns, _UNKNOWN, schema, open=bool(schema.get("additionalProperties"))
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the schema."""
        return tuple(column.name for column in self.columns or ())

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _required(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.columns or () if each.required)

    def inputs_from(self, tensors: list[Tensor]) -> tuple[Inputs, int]:
        """What to give the model, and the number of rows.

        Args:
            tensors: All inputs of a request.

        Raises:
            BadRequestError: If a column is unknown, missing, twice there or wrong.
        """
        if self.columns is None:
            return self._single_from(tensors)
        by_name = {tensor.name: tensor for tensor in tensors}
        if len(by_name) != len(tensors):
            raise BadRequestError(
                "inputs", f"an input is there twice: {names_of(tensors)}"
            )
        self._check_names(by_name)
        rows = int(tensors[0].values.shape[0])
        inputs = {
            column.name: (
                column.from_tensor(by_name[column.name], rows)
                if column.name in by_name
                else column.absent(rows)
            )
            for column in self.columns
        }
        return inputs, rows

    def _single_from(self, tensors: list[Tensor]) -> tuple[Inputs, int]:
        if len(tensors) != 1:
            raise BadRequestError(
                "inputs",
                f"this model has no named columns: send one tensor of shape "
                f"{self.single.shape}, not {len(tensors)} ({names_of(tensors)})",
            )
        rows = int(tensors[0].values.shape[0])
        return self.single.from_tensor(tensors[0], rows), rows

    def _check_names(self, given: Mapping[str, object]) -> None:
        unknown = [name for name in given if name not in self._known]
        if unknown and not self.open:
            raise BadRequestError(
                "inputs",
                f"the model has no column {unknown[0][:100]!r}; its columns: "
                f"{some_of(self.names)}",
            )
        for name in self._required:
            if name not in given:
                raise BadRequestError("inputs", f"the column {name!r} is missing")
        if len(unknown) == len(given):
            raise BadRequestError(
                "inputs", f"none of the model's columns is there: {some_of(self.names)}"
            )

    def describe(self) -> list[dict[str, Any]]:
        """The inputs as the protocol's model metadata lists them."""
        columns = (self.single,) if self.columns is None else self.columns
        return [
            {
                "name": column.name,
                "datatype": "FP64" if column is _UNKNOWN else column.datatype,
                "shape": [-1, -1] if column is _UNKNOWN else column.shape,
            }
            for column in columns
        ]
