"""Finds versions by what is known of them, in the grammar of MLflow's searches.

The filter is judged here, on the registry's own view of each version, and not by the
tracking backend: so each backend gives the same answer, to SemVer's order too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from brixa_flows.errors import (
    InvalidFilterError,
    InvalidVersionError,
    VersionNotFoundError,
)
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.registry.facts.resolving import refuse_doubt
from brixa_flows.registry.facts.stages import SINGLE_HOLDER, STAGES
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.tracking.filters import (
    FilterClause,
    FilterField,
    FilterOrder,
    parse_filter,
    parse_order,
)
from brixa_flows.versioning import ModelVersion

__all__ = ["LARGEST_PAGE", "SearchPage", "Searcher"]

LARGEST_PAGE = 50_000
_NO_STAGE = "none"
_WORDS = {
    "stage": (_NO_STAGE, *STAGES),
    "state": ("registered", "ready", "quarantined", "deleted"),
}
_BY_TEXT = ("LIKE", "ILIKE")
_NAME = FilterField("attribute", "name")
_VERSION = FilterField("attribute", "version")
_STAGE = FilterField("attribute", "stage")
_LOG = logging.getLogger(__name__)
_STANDING: dict[str, Callable[[Standing, ModelVersion], str | None]] = {
    "name": lambda standing, _: standing.name,
    "version": lambda _, version: version.core,
    "state": lambda standing, version: standing.state(version),
    "stage": lambda standing, version: (
        standing.lifecycle.stages.get(version) or _NO_STAGE
        if standing.lifecycle.is_known(version)
        else None
    ),
}
"""What listings alone tell, so that no file of other versions is read."""

_Position = list[Any]
_NO_TOKEN = "it is no page token; give the .token of the page before"


class SearchPage(list[ModelMetadata]):
    """A page of what a search found, as MLflow gives its pages.

    Attributes:
        token: Give it as ``page_token`` for the next page; ``None`` on the last one.
        doubts: A sentence for each model of which a lost record hides who is in a stage
            that was asked for; the log has them, too.
    """

    def __init__(
        self,
        found: Iterable[ModelMetadata] = (),
        token: str | None = None,
        doubts: tuple[str, ...] = (),
    ) -> None:
        super().__init__(found)
        self.token = token
        self.doubts = doubts


class Searcher:
    """Searches the versions of all models.

    Args:
        reader: What is known.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def search(
        self,
        filter: str | None,
        order_by: Sequence[str] | None,
        max_results: int,
        page_token: str | None,
    ) -> SearchPage:
        """See :meth:`QueryCatalog.search`."""
        size = _checked_size(max_results)
        filter = "" if filter is None else _text("filter", filter)
        clauses = tuple(map(_checked, parse_filter(filter)))
        fields = _texts(order_by)
        orders = parse_order(fields)
        query = json.dumps([filter.strip(), fields])
        compare = _comparison(orders)
        after = None if page_token is None else _position(page_token, query, orders)
        places = [(_place(known, orders), known) for known in self._matching(clauses)]
        if after is not None:
            try:
                places = [each for each in places if compare(each[0], after) > 0]
            except (TypeError, ValueError) as err:  # values of other types than ours
                raise InvalidFilterError(page_token, _NO_TOKEN) from err
        by_place = cmp_to_key(compare)
        places.sort(key=lambda each: by_place(each[0]))
        more = len(places) > size
        token = _token(places[size - 1][0], query) if more else None
        doubts = self._doubts(clauses)
        for doubt in doubts:
            _LOG.warning("not searched in full: %s", doubt)
        return SearchPage((known for _, known in places[:size]), token, doubts)

    def _doubts(self, clauses: Sequence[FilterClause]) -> tuple[str, ...]:
        """Why who is in a stage that is asked for is not known; hides no other model."""
        asked = [each for each in clauses if each.field == _STAGE]
        stages = [
            stage
            for stage in SINGLE_HOLDER
            if any(each.holds(stage, each.value) for each in asked)
        ]
        names = [each for each in clauses if each.field == _NAME]
        doubts = []
        for standing in self._reader.standings() if stages else ():
            if not all(each.holds(standing.name, each.value) for each in names):
                continue
            for stage in stages:
                try:
                    refuse_doubt(standing, stage)
                except VersionNotFoundError as err:
                    doubts.append(str(err))
        return tuple(doubts)

    def _matching(self, clauses: Sequence[FilterClause]) -> Iterable[ModelMetadata]:
        listed = [each for each in clauses if _told_by_listings(each)]
        others = [each for each in clauses if not _told_by_listings(each)]
        names = [each for each in listed if each.field == _NAME]
        for standing in self._reader.standings():
            if not all(each.holds(standing.name, each.value) for each in names):
                continue
            versions = [
                version
                for version in standing.claimed
                if _is_shown(standing, version, listed)
                and all(_stands(standing, version, each) for each in listed)
            ]
            for known in self._reader.all_metadata(standing.name, versions, standing):
                if all(self._holds(known, each) for each in others):
                    yield known

    def _holds(self, known: ModelMetadata, clause: FilterClause) -> bool:
        if clause.field.kind != "dataset":
            return clause.holds(_value(known, clause.field), clause.value)
        judged_on = self._reader.judged_on(known.name, known.version)
        return any(
            clause.holds(_of_dataset(each, clause.field.key), clause.value)
            for each in (*known.lineage.datasets, *judged_on)
        )


def _told_by_listings(clause: FilterClause) -> bool:
    return clause.field.kind == "attribute" and clause.field.key in _STANDING


def _is_shown(
    standing: Standing, version: ModelVersion, clauses: Iterable[FilterClause]
) -> bool:
    """Deleted ones are told of only where the filter asks for a state."""
    asked = any(clause.field.key == "state" for clause in clauses)
    return asked or standing.listed_state(version) != "deleted"


def _stands(standing: Standing, version: ModelVersion, clause: FilterClause) -> bool:
    if clause.field == _VERSION and clause.comparator not in _BY_TEXT:
        return clause.holds(version, clause.value)
    value = _STANDING[clause.field.key](standing, version)
    return clause.holds(value, clause.value)


def _of_dataset(dataset: Any, key: str) -> str:
    return str(dataset.role if key == "context" else getattr(dataset, key))


def _value(known: ModelMetadata, field: FilterField) -> Any:
    """What a version has under a field, ``None`` if it has nothing."""
    if field.kind == "metric":
        return known.metrics.get(field.key)
    if field.kind == "tag":
        return known.tags.get(field.key)
    if field.kind == "parameter":
        given = known.hyperparameters.get(field.key)
        return given if given is None or isinstance(given, str) else json.dumps(given)
    if field.key == "creation_timestamp":
        return int(known.created_at.timestamp() * 1000)
    if field.key == "stage":
        return known.stage or _NO_STAGE
    return getattr(known, field.key)


def _checked(clause: FilterClause) -> FilterClause:
    """The clause with its value as it is compared.

    Raises:
        InvalidFilterError: If nothing could ever have that value.
    """
    if clause.field.kind != "attribute" or clause.comparator in _BY_TEXT:
        return clause
    if clause.field == _VERSION:
        return FilterClause(
            clause.field,
            clause.comparator,
            _versions(clause),
            clause.holds,
            clause.text,
        )
    allowed = _WORDS.get(clause.field.key)
    given = clause.value if isinstance(clause.value, tuple) else (clause.value,)
    unknown = [each for each in given if allowed is not None and each not in allowed]
    if unknown and allowed is not None:
        reason = f"there is no {clause.field.key} {unknown[0]!r}; there are "
        raise InvalidFilterError(clause.text, reason + ", ".join(allowed))
    return clause


def _versions(clause: FilterClause) -> ModelVersion | tuple[ModelVersion, ...]:
    try:
        if isinstance(clause.value, tuple):
            return tuple(map(ModelVersion.parse, clause.value))
        return ModelVersion.parse(clause.value)
    except InvalidVersionError as err:
        raise InvalidFilterError(
            clause.text, f"{err}; or ask for version LIKE '1.%'"
        ) from err


def _place(known: ModelMetadata, orders: Sequence[FilterOrder]) -> _Position:
    """Where a version comes in the order, as JSON: a page token carries it."""
    keys = [_value(known, order.field) for order in orders]
    plain = [str(key) if isinstance(key, ModelVersion) else key for key in keys]
    return [*plain, known.name, str(known.version)]


def _comparison(
    orders: Sequence[FilterOrder],
) -> Callable[[_Position, _Position], int]:
    """Compares positions; what has no value comes last, whatever the direction."""
    fields = [*(order.field for order in orders), _NAME, _VERSION]
    rising = [*(order.ascending for order in orders), True, True]

    def compare(one: _Position, two: _Position) -> int:
        for field, ascending, left, right in zip(fields, rising, one, two, strict=True):
            if left is None or right is None:
                found = (left is None) - (right is None)
            else:
                found = _order_of(field, left, right) * (1 if ascending else -1)
            if found:
                return found
        return 0

    return compare


def _order_of(field: FilterField, left: Any, right: Any) -> int:
    if field == _VERSION:
        left, right = ModelVersion.parse(left), ModelVersion.parse(right)
    return int(left > right) - int(left < right)


def _token(place: _Position, query: str) -> str:
    content: Mapping[str, Any] = {"after": place, "of": _digest(query)}
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def _position(token: str, query: str, orders: Sequence[FilterOrder]) -> _Position:
    """Where the page before ended; what came or went since neither repeats nor skips.

    Raises:
        InvalidFilterError: If the token is none, or of another search.
    """
    try:
        content = json.loads(base64.urlsafe_b64decode(token))
        place, digest = content["after"], content["of"]
        ModelVersion.parse(place[len(orders) + 1])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as err:
        raise InvalidFilterError(token, _NO_TOKEN) from err
    if digest != _digest(query) or len(place) != len(orders) + 2:
        reason = "the page token is of another search; repeat its filter and order_by"
        raise InvalidFilterError(token, reason)
    return list(place)


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def _text(what: str, given: object) -> str:
    if not isinstance(given, str):
        raise InvalidFilterError(given, f"{what} is a text")
    return given


def _texts(given: object) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InvalidFilterError(given, "order_by is a list such as ['version DESC']")
    return [_text("each of order_by", each) for each in given]


def _checked_size(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidFilterError(given, "max_results is a whole number")
    if not 1 <= given <= LARGEST_PAGE:
        raise InvalidFilterError(given, f"max_results is 1 to {LARGEST_PAGE}")
    return given
