"""MLflow's parser of search filters, with the fields that a registry has.

Reached by :mod:`brixa_flows.tracking.filters`. MLflow's own grammar for model versions
knows no metrics and that for runs no versions, so this is the grammar for runs (which
has metrics, params, tags and datasets) with other attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchUtils
from sqlparse.engine.grouping import group_comparison
from sqlparse.sql import Comparison, Identifier, Parenthesis, Statement, Token
from sqlparse.tokens import Keyword, Name

from brixa_flows.errors import InvalidFilterError
from brixa_flows.tracking.filters import (
    ALLOWED_FIELDS,
    NUMBER_ATTRIBUTES,
    TEXT_ATTRIBUTES,
    FilterClause,
    FilterField,
    FilterOrder,
)

__all__ = ["parse_filter", "parse_order"]

_EQUAL = ("=", "!=")
_ORDERED = ("<", "<=", ">", ">=")
_ALIKE = ("LIKE", "ILIKE")
_LISTED = ("IN", "NOT IN")
_PRESENT = ("IS NULL", "IS NOT NULL")
_FOR_NUMBERS = (*_EQUAL, *_ORDERED)
_COMPARATORS = {
    "metric": _FOR_NUMBERS,
    "parameter": (*_EQUAL, *_ALIKE, *_PRESENT),
    "tag": (*_EQUAL, *_ALIKE, *_PRESENT),
    "dataset": (*_EQUAL, *_ALIKE, *_LISTED),
    "attribute": (*_EQUAL, *_ALIKE, *_LISTED),
}
_JOINED = "AND alone joins clauses, and IN ('a', 'b') says or"
_LONGEST_REASON = 300
_ORDER = "write a field, then ASC or DESC"


class _Grammar(SearchUtils):  # type: ignore[misc]  # MLflow ships no types
    """MLflow's grammar for runs, with the attributes of a registry."""

    VALID_SEARCH_ATTRIBUTE_KEYS = {*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES}
    VALID_ORDER_BY_ATTRIBUTE_KEYS = VALID_SEARCH_ATTRIBUTE_KEYS
    NUMERIC_ATTRIBUTES = {*NUMBER_ATTRIBUTES}

    @classmethod
    def _process_statement(cls, statement: Statement) -> list[FilterClause]:
        for index, token in enumerate(statement.tokens):
            # sqlparse takes version and owner for words of SQL.
            if token.ttype in Keyword and token.value in TEXT_ATTRIBUTES:
                statement.tokens[index] = Identifier([Token(Name, token.value)])
        group_comparison(statement)
        clauses: list[FilterClause] = super()._process_statement(statement)
        _check_joined(statement, len(clauses))
        return clauses

    @classmethod
    def _get_comparison(cls, comparison: Comparison) -> FilterClause:
        parts = (token for token in comparison.tokens if not token.is_whitespace)
        text = " ".join(map(str, parts))
        try:
            found = super()._get_comparison(comparison)
        except MlflowException as err:
            raise InvalidFilterError(text, _reason(err)) from err
        field = FilterField(found["type"], found["key"])
        comparator = found["comparator"].upper()
        value = found["value"]
        _check_comparator(field, comparator, value, text)
        if field.kind == "metric":
            value = float(value)
        holds = _holds(comparator)
        return FilterClause(field, comparator, value, holds, text)

    @classmethod
    def _get_value(cls, identifier_type: str, key: str, token: Token) -> Any:
        if identifier_type == "attribute" and isinstance(token, Parenthesis):
            return cls._parse_list_from_sql_token(token)
        return super()._get_value(identifier_type, key, token)

    @classmethod
    def _validate_order_by_and_generate_token(cls, order_by: str) -> str:
        # MLflow's refuses the words of SQL; what it would find, the caller checks too.
        return order_by.strip()


def parse_filter(text: str) -> tuple[FilterClause, ...]:
    """See :func:`brixa_flows.tracking.filters.parse_filter`."""
    try:
        return tuple(_Grammar.parse_search_filter(text.strip()))
    except MlflowException as err:
        raise InvalidFilterError(text, _reason(err)) from err


def parse_order(order_by: Iterable[str]) -> tuple[FilterOrder, ...]:
    """See :func:`brixa_flows.tracking.filters.parse_order`."""
    return tuple(_order(each) for each in order_by)


def _order(text: str) -> FilterOrder:
    try:
        kind, key, ascending = _Grammar.parse_order_by_for_search_runs(text)
    except (MlflowException, ValueError, IndexError) as err:
        raise InvalidFilterError(text, f"{_reason(err)}; {_ORDER}") from err
    if kind == "dataset":
        raise InvalidFilterError(text, f"a version may have many datasets; {_ORDER}")
    return FilterOrder(FilterField(kind, key), ascending, text)


def _check_joined(statement: Statement, clauses: int) -> None:
    """MLflow looks over an AND that is missing or too many."""
    parts = [token for token in statement.tokens if not token.is_whitespace]
    ands = [index for index, t in enumerate(parts) if t.match(Keyword, ["AND"])]
    dangling = {0, len(parts) - 1, *(index + 1 for index in ands)} & {*ands}
    if dangling or len(ands) != clauses - 1:
        raise InvalidFilterError(str(statement), f"one AND too few or many; {_JOINED}")


def _check_comparator(
    field: FilterField, comparator: str, value: Any, text: str
) -> None:
    allowed: tuple[str, ...] = _COMPARATORS[field.kind]
    if field.key in NUMBER_ATTRIBUTES:
        allowed = _FOR_NUMBERS
    elif field == FilterField("attribute", "version"):
        allowed = (*allowed, *_ORDERED)
    if comparator not in allowed:
        reason = f"{comparator} can't be asked of it; it takes {', '.join(allowed)}"
        raise InvalidFilterError(text, reason)
    if isinstance(value, tuple) != (comparator in _LISTED):
        raise InvalidFilterError(text, "a list in brackets goes with IN and NOT IN")


def _holds(comparator: str) -> Callable[[Any, Any], bool]:
    if comparator in _PRESENT:
        return lambda value, _: (value is None) == (comparator == "IS NULL")
    holds: Callable[[Any, Any], bool] = SearchUtils.get_comparison_func(comparator)
    return lambda value, other: value is not None and holds(value, other)


def _reason(err: Exception) -> str:
    """MLflow's sentence, without its lists, which come in another order each time."""
    said = str(getattr(err, "message", err)).splitlines()[0].partition(" Valid ")[0]
    said = said.rstrip(".").replace(". ", ": ")[:_LONGEST_REASON]
    if said.startswith("Invalid clause(s)"):
        return f"{said}; {_JOINED}"
    known = "entity type" in said or "attribute key" in said or "dataset key" in said
    return f"{said}; fields are {ALLOWED_FIELDS}" if known else said
