"""What MLflow decides of a version is asked when somebody wants to know, and whole."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from brixa_flows.errors import TrackingUnavailableError
from brixa_flows.registry import ModelMetadata, ModelRegistry
from brixa_flows.registry.facts.metadata import Lineage
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

FACTS = {
    "description": "what it is",
    "tags": {"team": "x"},
    "metrics": {"f1": 0.5},
    "custom": {"a": [1]},
    "owner": "ann",
}


@pytest.fixture
def asked(
    tracking: MemoryTrackingStore, monkeypatch: pytest.MonkeyPatch
) -> Counter[str]:
    """How often the tracking backend is asked what."""
    calls: Counter[str] = Counter()

    def counted(name: str, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return original(*args, **kwargs)

        return call

    for name in ("get_version", "list_versions", "recorded_digest"):
        monkeypatch.setattr(tracking, name, counted(name, getattr(tracking, name)))
    return calls


@pytest.fixture
def saved(save: SaveVersion) -> ModelMetadata:
    return save("m", "1.0.0", **FACTS, hyperparameters={"depth": {"max": 3}})


def away(tracking: MemoryTrackingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise TrackingUnavailableError("http://away", "nobody answers")

    for name in ("get_version", "list_versions", "recorded_digest", "ping"):
        monkeypatch.setattr(tracking, name, fail)


def test_one_version_is_asked_for_once_and_only_if_needed(
    registry: ModelRegistry, saved: ModelMetadata, asked: Counter[str]
) -> None:
    known = registry.get_metadata("m")
    told = [known.state, known.digest, known.hyperparameters, known.lineage]
    assert told == [saved.state, saved.digest, {"depth": {"max": 3}}, saved.lineage]
    registry.resolve("m", "^1")
    assert asked == {}
    assert {name: getattr(known, name) for name in FACTS} == FACTS
    assert asked == {"get_version": 1}


@pytest.mark.parametrize(
    ("versions", "touched", "expected"),
    [
        (3, 3, {"list_versions": 1}),
        (9, 2, {"get_version": 2}),
        (9, 9, {"get_version": 5, "list_versions": 1}),
    ],
)
def test_of_a_list_few_are_asked_for_alone_and_many_together(
    registry: ModelRegistry,
    save: SaveVersion,
    asked: Counter[str],
    versions: int,
    touched: int,
    expected: dict[str, int],
) -> None:
    for number in range(versions):
        save("m", metrics={"n": number})
    asked.clear()
    listed = registry.list_versions("m")
    assert asked == {}
    assert [each.metrics["n"] for each in listed[:touched]] == [*range(touched)]
    assert [each.metrics["n"] for each in listed[:touched]] == [*range(touched)]
    assert asked == expected


def test_a_search_by_stage_asks_nothing_and_one_by_metric_asks_together(
    registry: ModelRegistry, save: SaveVersion, asked: Counter[str]
) -> None:
    for _ in range(7):
        save("m", metrics={"f1": 0.9})
    registry.transition("m", "1.0.1", "production")
    asked.clear()
    assert len(registry.search("stage = 'production'")) == 1
    assert asked == {}
    assert len(registry.search("metrics.f1 > 0.8")) == 7
    assert asked["list_versions"] == 1


def test_what_was_changed_in_the_backend_shows(
    registry: ModelRegistry, saved: ModelMetadata, tracking: MemoryTrackingStore
) -> None:
    before = registry.list_versions("m")[0]
    tracked = tracking.get_version("m", "1.0.0")
    assert before.description == "what it is" and tracked is not None
    tracking.update_version(tracked, description="by hand", tags={"team": None})
    (listed,) = registry.list_versions("m")
    for known in (listed, registry.get_metadata("m")):
        assert (known.description, known.tags) == ("by hand", {})
    assert before.description == "what it is"


def test_an_unreachable_backend_is_told_when_it_is_needed(
    registry: ModelRegistry,
    saved: ModelMetadata,
    tracking: MemoryTrackingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away(tracking, monkeypatch)
    assert str(registry.resolve("m")) == "1.0.0"
    for known in (registry.get_metadata("m"), *registry.list_versions("m")):
        assert (known.state, known.digest) == ("ready", saved.digest)
        assert known.input_schema == saved.input_schema
        for touch in (
            lambda known: known.metrics,
            lambda known: known.model_dump(),
            lambda known: known == saved,
            pickle.dumps,
            copy.copy,
        ):
            with pytest.raises(TrackingUnavailableError, match="http://away"):
                touch(known)
        assert "digest='sha256:" in repr(known) and "metrics" not in repr(known)
        kept = known.as_stored()
        assert {name: getattr(kept, name) for name in FACTS} == FACTS
        assert kept.model_copy(update={"run_id": saved.run_id}) == saved


def test_a_version_that_waits_for_its_files_needs_no_backend(
    registry: ModelRegistry,
    tracking: MemoryTrackingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.register_model("m", "t", **FACTS)  # type: ignore[arg-type]
    away(tracking, monkeypatch)
    registry.update("m", "1.0.0", description="changed")
    for known in (registry.get_metadata("m"), *registry.list_versions("m")):
        assert known.description == "changed"
        assert known.metrics == {"f1": 0.5}


class _Holder(BaseModel):
    known: ModelMetadata


@pytest.mark.parametrize(
    "dumped",
    [
        lambda known: known.model_dump(mode="json"),
        lambda known: json.loads(known.model_dump_json()),
        lambda known: _Holder(known=known).model_dump(mode="json")["known"],
        lambda known: json.loads(
            TypeAdapter(list[ModelMetadata]).dump_json([known]),
        )[0],
        lambda known: json.loads(json.dumps(dict(known), default=_plain)),
        lambda known: pickle.loads(pickle.dumps(known)).model_dump(mode="json"),
        lambda known: known.model_copy(deep=True).model_dump(mode="json"),
        lambda known: copy.copy(known).model_dump(mode="json"),
    ],
)
def test_every_way_to_write_it_down_gives_everything_in_the_order_of_the_fields(
    registry: ModelRegistry, saved: ModelMetadata, dumped: Any
) -> None:
    found = dumped(registry.get_metadata("m"))
    assert list(found) == list(ModelMetadata.model_fields)
    assert {key: found[key] for key in FACTS} == FACTS
    assert found == saved.model_dump(mode="json")
    assert ModelMetadata.model_validate(found) == registry.get_metadata("m")


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Lineage) else _text(value)


def _text(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).replace("+00:00", "Z")
    return str(value)


def test_compared_and_printed_it_is_whole(
    registry: ModelRegistry, saved: ModelMetadata
) -> None:
    assert registry.get_metadata("m") == saved == registry.list_versions("m")[0]
    assert all(f"{key}={value!r}" in repr(saved) for key, value in FACTS.items())
    assert repr(registry.get_metadata("m"))[:400] == repr(saved)[:400]
    registry.update("m", "1.0.0", owner="bob")
    assert registry.get_metadata("m") != saved
    with pytest.raises(TypeError, match="unhashable"):
        hash(saved)


def test_a_part_that_needs_no_backend_asks_none(
    registry: ModelRegistry, saved: ModelMetadata, asked: Counter[str]
) -> None:
    known = registry.get_metadata("m")
    assert known.model_dump(include={"name", "lineage"})["name"] == "m"
    assert "owner" not in known.model_dump(exclude={*FACTS, "run_id"})
    assert asked == {}
    assert known.model_dump(include={"owner"}) == {"owner": "ann"}
    assert len(known.model_dump()) == len(ModelMetadata.model_fields)


def test_who_changes_what_was_given_changes_nothing_for_others(
    registry: ModelRegistry, storage: LocalStorageNode, saved: ModelMetadata
) -> None:
    for known in (registry.get_metadata("m"), registry.list_versions("m")[0]):
        known.hyperparameters["depth"]["max"] = 99
        known.tags["team"] = "mine"
        known.lineage.environment["numpy"] = "0"
    again = registry.get_metadata("m")
    assert again.hyperparameters == {"depth": {"max": 3}}
    assert again.tags == {"team": "x"}
    assert again.lineage == saved.lineage


def test_no_number_is_taken_while_the_backend_is_away(
    registry: ModelRegistry,
    tracking: MemoryTrackingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        away(tracking, patch)
        with pytest.raises(TrackingUnavailableError, match="http://away"):
            registry.register_model("m", "t")
    assert list(registry.storage.list("models")) == []
    assert str(registry.register_model("m", "t").version) == "1.0.0"
