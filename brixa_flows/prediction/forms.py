"""In which form a model takes its inputs, told by its input schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from brixa_flows.errors import DatasetError, some_of
from brixa_flows.plugins import import_adapter
from brixa_flows.prediction.value_rules import ValueRule
from brixa_flows.registry.facts.metadata import ModelMetadata

__all__ = ["InputForm"]

_NETWORKS = ("pytorch", "tensorflow", "onnx")
_ROWS_AT_ONCE = 50_000
_VECTORS_AT_ONCE = 5_000
_TENSORS_AT_ONCE = 128
_TEXTS_AT_ONCE = 32


@dataclass(frozen=True)
class InputForm:
    """How inputs are given to a model.

    Attributes:
        kind: ``named`` columns of a frame, an ``array``, ``text`` (a list of strings),
            or ``any`` when the model has no input schema.
        columns: Names in the order of training (``named``).
        dtypes: Type name by column (``named``).
        dtype: Type name of the elements (``array``).
        width: Columns of a matrix (``array`` of one-dimensional samples).
        model: Name and version, for messages.
        framework: Of the model.
        rules: What may stand in the columns (``named``).
        rule: What every value may be (``array``, ``text``).
    """

    kind: Literal["named", "array", "text", "any"] = "any"
    columns: tuple[str, ...] = ()
    dtypes: dict[str, str] = field(default_factory=dict)
    dtype: str | None = None
    width: int | None = None
    model: str = "the model"
    framework: str = ""
    rules: Mapping[str, ValueRule] = field(default_factory=dict)
    rule: ValueRule = ValueRule()

    @classmethod
    def of(cls, metadata: ModelMetadata | None) -> InputForm:
        """Read it from a version's input schema."""
        if metadata is None:
            return cls()
        return replace(cls._read(metadata), framework=metadata.framework or "")

    @classmethod
    def _read(cls, metadata: ModelMetadata) -> InputForm:
        if not metadata.input_schema:
            return cls()
        schema = metadata.input_schema
        model = f"{metadata.name} {metadata.version}"
        if schema.get("properties"):
            parts: Mapping[str, Any] = schema["properties"]
            needed = schema.get("required", ())
            rules = {
                name: ValueRule.of(part, required=name in needed)
                for name, part in parts.items()
            }
            dtypes = {name: rule.dtype for name, rule in rules.items() if rule.dtype}
            return cls("named", tuple(parts), dtypes, model=model, rules=rules)
        if schema.get("type") == "string":
            return cls("text", model=model, rule=ValueRule.of(schema))
        if schema.get("type") == "array":
            items = schema.get("items", {})
            width = schema.get("maxItems") if "items" not in items else None
            rule = ValueRule.of(_leaf(schema))
            dtype = items.get("x-dtype")
            return cls("array", dtype=dtype, width=width, model=model, rule=rule)
        return cls(model=model)

    @property
    def texts(self) -> frozenset[str]:
        """Those of the columns that hold text, and no moments."""
        return frozenset(name for name, rule in self.rules.items() if rule.is_text)

    @property
    def usual_rows(self) -> int:
        """Rows to ask at once: many of a table, few where a row is a text or image.

        What a network computes for a row takes far more memory than the row.
        """
        if self.kind == "text":
            return _TEXTS_AT_ONCE
        if self.framework not in _NETWORKS:
            return _ROWS_AT_ONCE
        flat = self.kind == "named" or self.width is not None
        return _VECTORS_AT_ONCE if flat else _TENSORS_AT_ONCE

    def features(self, columns: Sequence[str], targets: Sequence[str]) -> list[str]:
        """The columns of a table that go into the model, in its order.

        Raises:
            DatasetError: If the table lacks some; names them.
        """
        if self.kind != "named":
            return [name for name in columns if name not in targets]
        lacking = [name for name in self.columns if name not in columns]
        if lacking:
            raise DatasetError(
                f"the dataset lacks columns that {self.model} was trained on: "
                f"{some_of(map(repr, lacking))}; it has {some_of(columns)}",
                columns=tuple(lacking),
            )
        return list(self.columns)

    def from_table(self, table: Any, targets: Sequence[str]) -> Any:
        """Inputs from an Arrow table.

        Raises:
            DatasetError: If its columns don't fit the model.
        """
        tables = import_adapter("brixa_flows.prediction._tables")
        types = import_adapter("brixa_flows.prediction._trained_types")
        names = self.features(table.column_names, targets)
        chosen = table.select(names)
        if self.kind == "text":
            return self._texts(tables.column_values(chosen, self._only(names)))
        if self.kind != "array":
            return types.frame_of(chosen, self.dtypes, as_given=self.kind == "any")
        if self.width is not None and len(names) != self.width:
            raise DatasetError(
                f"{self.model} takes {self.width} numbers a row, but the dataset has "
                f"{len(names)} columns beside the target: {some_of(names)}"
            )
        return types.matrix_of(chosen, self.dtype)

    def check_table(self, table: Any, targets: Sequence[str], first_row: int) -> None:
        """Return if the model's endpoint would take these rows too.

        Args:
            table: Arrow table.
            targets: Columns that are no inputs.
            first_row: So many rows came before.

        Raises:
            DatasetError: If not; names the column, the row and the value.
        """
        types = import_adapter("brixa_flows.prediction._trained_types")
        names = self.features(table.column_names, targets)
        is_flat = self.width is not None or self.kind == "text"
        rules = {name: self.rule for name in names} if is_flat else self.rules
        types.check_types(table, rules, self.model, first_row)
        types.check_values(table, rules, self.model, first_row)

    def from_array(self, inputs: Any) -> Any:
        """Inputs from an array, a mapping of arrays or a list of texts.

        A matrix for a model of named columns gets its names, in the order of training.

        Raises:
            DatasetError: If the matrix has another number of columns.
        """
        if isinstance(inputs, Mapping) and len(inputs) == 1 and self.kind == "array":
            (inputs,) = inputs.values()
        if isinstance(inputs, np.ndarray) and self.kind == "text":
            return self._texts(inputs)
        matrix = isinstance(inputs, np.ndarray) and inputs.ndim == 2
        if not matrix or self.kind != "named":
            return inputs
        if inputs.shape[1] != len(self.columns):
            raise DatasetError(
                f"{self.model} takes {len(self.columns)} columns, but the array has "
                f"shape {inputs.shape}: {some_of(self.columns)} are needed"
            )
        tables = import_adapter("brixa_flows.prediction._tables")
        columns = {name: inputs[:, i] for i, name in enumerate(self.columns)}
        types = import_adapter("brixa_flows.prediction._trained_types")
        return types.frame_of(tables.as_table(columns), self.dtypes)

    def _only(self, names: list[str]) -> str:
        if len(names) != 1:
            raise DatasetError(
                f"{self.model} takes one text a row, but the dataset has the columns "
                f"{some_of(names)} beside the target; keep one"
            )
        return names[0]

    def _texts(self, values: Any) -> list[str]:
        return [str(value) for value in values]


def _leaf(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an array holds, however deep."""
    items = schema.get("items")
    return _leaf(items) if isinstance(items, Mapping) else schema
