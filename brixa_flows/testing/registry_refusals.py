"""The part of the registry's contract that is about bad input; nothing is half-written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from brixa_flows.errors import BrixaError
from brixa_flows.registry import CodeRef, DatasetRef, ModelRegistry, lineage_context

__all__ = ["RegistryRefusals"]

_TOO_LONG = "x" * 5001
_NO_TEXTS: tuple[Any, ...] = (3, b"x", "a\x00b", "\ud800", _TOO_LONG, ["a"])
_NO_NUMBERS: tuple[Any, ...] = (
    float("nan"),
    float("-inf"),
    True,
    "0.5",
    None,
    1j,
    Decimal(1),
    10**400,
)
_NO_JSON: tuple[Any, ...] = (
    object(),
    float("nan"),
    {"a": {1: 2}},
    {1, 2},
    Decimal("1.5"),
    datetime(2026, 1, 1),
    b"x",
    10**5000,
    "\ud800",
    "\x00",
)
_NO_NAMES = ("", "x" * 251, "a%b", "a=b", "a\x00", "../x", "/", "a/", "🦊", "a\n")
_DATA = {"name": "d", "digest": "sha256:1"}


def _bad_texts() -> list[dict[str, Any]]:
    fields = ("model_type", "description", "owner", "license", "framework")
    return [{field: text} for field in fields for text in _NO_TEXTS]


def _bad_values() -> list[dict[str, Any]]:
    return [
        *({"metrics": {"ok": 1, "bad": value}} for value in _NO_NUMBERS),
        *({"metrics": {name: 1}} for name in _NO_NAMES),
        *({"hyperparameters": {"ok": 1, "bad": value}} for value in _NO_JSON),
        *({"custom": {"ok": 1, "bad": value}} for value in _NO_JSON),
        *({"tags": {name: "x"}} for name in (*_NO_NAMES, "brixa.x", "mlflow.x")),
        *({"tags": {"bad": value}} for value in (*_NO_TEXTS[1:4], "x" * 100_001)),
        {"tags": {"bad": 10**5000}},
        {"tags": 5},
        {"custom": {"long": "x" * 100_001}},
        {"input_schema": {"type": "nope"}},
        {"output_schema": {"description": "\ud800"}},
        {"dependencies": ["numpy>>2"]},
        {"dependencies": {"tokenizer": "@not a range"}},
        {"version": "1.0"},
        {"bump": "huge"},
    ]


def _bad_lineage() -> list[dict[str, Any]]:
    data: list[Mapping[str, Any]] = [
        {"name": "d", "unknown": 1},
        {**_DATA, "name": ""},
        {**_DATA, "rows": -1},
        {**_DATA, "rows": 10**30},
        {**_DATA, "uri": "\ud800"},
        {**_DATA, "columns": {"a\x00": "double"}},
        {**_DATA, "columns": {"a": "\ud800"}},
    ]
    return [
        *({"datasets": [each]} for each in data),
        {"datasets": 5},
        *({"parents": [each]} for each in ("m", "m@^1", "@1.0.0", "../m@1.0.0")),
        {"run_id": "\x00"},
    ]


class RegistryRefusals:
    """What is refused, before anything of it is written."""

    def test_nothing_of_a_registration_with_one_bad_field_is_kept(
        self, registry: ModelRegistry, name: str
    ) -> None:
        given = [*_bad_texts(), *_bad_values(), *_bad_lineage()]
        facts = [{"name": name, "model_type": "t", **each} for each in given]
        facts += [{"name": bad, "model_type": "t"} for bad in ("../x", "", "_x", 3)]
        calls = (partial(registry.register_model, **each) for each in facts)
        assert _accepted(calls) == []
        assert list(registry.storage.list("")) == []

    def test_nothing_of_what_surrounds_a_registration_may_be_bad(
        self, registry: ModelRegistry, name: str
    ) -> None:
        given: list[dict[str, Any]] = [
            {"flow_run_id": "\x00"},
            {"flow_run_id": 3},
            {"run_id": _TOO_LONG},
            {"code": CodeRef(commit="\ud800")},
            {"datasets": [DatasetRef(name="d", columns={"a": "\ud800"})]},
            {"features": [3]},
        ]

        def register(context: dict[str, Any]) -> None:
            with lineage_context(**context):
                registry.register_model(name, "t")

        assert _accepted(partial(register, each) for each in given) == []
        assert list(registry.storage.list("")) == []

    @pytest.mark.parametrize("saved", [False, True])
    def test_a_refused_change_changes_nothing(
        self, registry: ModelRegistry, name: str, saved: bool
    ) -> None:
        registry.register_model(name, "t", "pickle", tags={"a": "1"})
        if saved:
            registry.save_model(name, "1.0.0", {"rule": 1})
        before = _all_that_is_kept(registry, name)
        calls = (
            partial(getattr(registry, method), name, *arguments, **options)
            for method, arguments, options in _bad_changes()
        )
        assert _accepted(calls) == []
        assert _all_that_is_kept(registry, name) == before


_Change = tuple[str, tuple[Any, ...], dict[str, Any]]


def _bad_changes() -> Iterator[_Change]:
    """Method, arguments behind the model's name, and options."""
    bad_tags = ({"../x": "y"}, {"brixa.version": None}, {3: None}, {"a": "\x00"})
    words = [
        *({"custom": {"bad": value}} for value in _NO_JSON),
        *({"owner": value} for value in _NO_TEXTS),
        *({"tags": {"b": "2", **tags}} for tags in bad_tags),
        {"tags": 5},
    ]
    yield from (("update", ("1.0.0",), {"description": "new", **w}) for w in words)
    numbers = ({"ok": 1, "bad": value} for value in _NO_NUMBERS)
    yield from (("log_metrics", ("1.0.0", metrics), {}) for metrics in numbers)
    yield "log_metrics", ("1.0.0", {"ok": 1}, {**_DATA, "rows": -1}), {}
    payloads = ({"bad": value} for value in _NO_JSON)
    yield from (("record_evaluation", ("1.0.0", each), {}) for each in payloads)
    for alias in ("a.b", "latest", "v1", "production", "x" * 129, "^1", "", "a\n"):
        yield "set_alias", (alias, "1.0.0"), {}
    for word in _NO_TEXTS:
        yield "transition", ("1.0.0", "staging"), {"reason": word}
        yield "set_alias", ("eu", "1.0.0"), {"actor": word}
    for other in ("x", "1.0", 3):
        yield "transition", ("1.0.0", "staging"), {"replacing": other}
    stages: tuple[Any, ...] = ("prod", "", None, 3, [])
    for stage in stages:
        yield "transition", ("1.0.0", stage), {}
    for file in ("../x", "", "a/b", "\x00", "x" * 300, 3, ".."):
        yield "log_report", ("1.0.0", file, "x"), {}
    for content in (None, 3, "\ud800"):
        yield "log_report", ("1.0.0", "a.md", content), {}


def _accepted(calls: Iterable[Callable[[], object]]) -> list[object]:
    """What came of the calls that were not refused in a sentence of ours."""
    found: list[object] = []
    for index, call in enumerate(calls):
        try:
            found.append((index, call()))
        except BrixaError as err:
            assert "\n" not in str(err)
    return found


def _all_that_is_kept(registry: ModelRegistry, name: str) -> tuple[object, ...]:
    storage = registry.storage
    return (
        {each.key: storage.read(each.key)[0] for each in storage.list("models")},
        registry.tracking.list_versions(name),
        registry.tracking.aliases(name),
    )
