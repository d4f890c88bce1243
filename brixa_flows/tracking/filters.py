"""Filters and orders in the grammar of MLflow's searches, as values.

MLflow joins clauses by AND alone and has no brackets; ``IN`` says *or*. Its parser reads
them, see :mod:`brixa_flows.tracking.mlflow_filter`, which is loaded on first use.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "ALLOWED_FIELDS",
    "NUMBER_ATTRIBUTES",
    "TEXT_ATTRIBUTES",
    "FilterClause",
    "FilterField",
    "FilterOrder",
    "parse_filter",
    "parse_order",
]

FieldKind = Literal["attribute", "metric", "parameter", "tag", "dataset"]

TEXT_ATTRIBUTES = (
    "name",
    "version",
    "state",
    "stage",
    "framework",
    "model_type",
    "description",
    "owner",
    "license",
    "run_id",
)
NUMBER_ATTRIBUTES = ("creation_timestamp",)
"""Milliseconds since 1970, as MLflow has them."""

ALLOWED_FIELDS = (
    f"{', '.join((*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES))}, tags.KEY, metrics.KEY, "
    "params.KEY and dataset.name, .digest or .context"
)


@dataclass(frozen=True)
class FilterField:
    """What a clause asks for: ``metrics.f1`` is of the kind ``metric``, key ``f1``."""

    kind: FieldKind
    key: str


@dataclass(frozen=True)
class FilterClause:
    """One comparison.

    Attributes:
        field: What is compared.
        comparator: ``=``, ``LIKE``, ``NOT IN``, ``IS NULL`` ... in upper case.
        value: What with: a text, a number, texts for ``IN``, ``None`` for ``IS NULL``.
        holds: MLflow's own comparison of a value with another.
        text: As it was written, for messages.
    """

    field: FilterField
    comparator: str
    value: Any
    holds: Callable[[Any, Any], bool]
    text: str


@dataclass(frozen=True)
class FilterOrder:
    """One key to sort by."""

    field: FilterField
    ascending: bool
    text: str


def parse_filter(text: str) -> tuple[FilterClause, ...]:
    """The clauses of a filter, all of which must hold; none if it is empty.

    Raises:
        InvalidFilterError: If it can't be read; names the place and what is allowed.
    """
    clauses: tuple[FilterClause, ...] = _adapter().parse_filter(text)
    return clauses


def parse_order(order_by: Iterable[str]) -> tuple[FilterOrder, ...]:
    """The keys of ``["metrics.f1 DESC", "version"]``.

    Raises:
        InvalidFilterError: If one can't be read; names it and what is allowed.
    """
    orders: tuple[FilterOrder, ...] = _adapter().parse_order(order_by)
    return orders


def _adapter() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it once
    return importlib.import_module("brixa_flows.tracking.mlflow_filter")
