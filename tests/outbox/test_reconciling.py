"""Events that a crash or an absent server kept back are delivered later, once."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import mlflow
import pytest
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import OrchestrationError, PrefectUnavailableError
from brixa_flows.events import (
    DriftDetected,
    EventPayload,
    GateRefused,
    ModelEvaluated,
    ModelPromoted,
    ModelRegistered,
    TrainingCompleted,
)
from brixa_flows.outbox import (
    Outbox,
    Reconciled,
    Reconciler,
    Refused,
    Taken,
    Unheeded,
    announces,
    reconciler,
    registered,
)
from brixa_flows.outbox.outbox import Progress
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking import AdoptableModel
from brixa_flows.tracking.memory_store import MemoryTrackingStore

AT_ONCE = timedelta(0)
MODEL = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
EVALUATED = ModelEvaluated(
    name="m",
    version="1.0.0",
    dataset="held-out",
    dataset_digest="ab",
    rows=3,
    metrics={"f1": 0.5},
)
ALARM = DriftDetected(
    name="m",
    version="1.0.0",
    deployment="m",
    start="2026-01-01",
    end="2026-02-01",
    kind="month",
    rows=3,
    columns=["a"],
    sentence="a is warmer",
)
TRAINED = TrainingCompleted(
    name="m",
    model_uri="runs:/1/model",
    framework="sklearn",
    model_type="t",
    hyperparameters={"rate": 0.125},
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


class Feed:
    """Takes events as the orchestrator does; ``away`` refuses them.

    What it ``forgot`` it does not have; what it has ``ignored`` started nothing, though
    an automation was to.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[EventPayload, UUID]] = []
        self.begun = datetime.now(UTC)
        self.away = False
        self.forgot: set[UUID] = set()
        self.ignored: set[UUID] = set()
        self.ignores = False

    def __call__(self, payload: EventPayload, event_id: UUID) -> None:
        if self.away:
            raise PrefectUnavailableError("http://nowhere", "refused")
        self.heard.append((payload, event_id))
        self.forgot.discard(event_id)
        if self.ignores:
            self.ignored.add(event_id)

    def look_up(self, event_ids: Collection[UUID]) -> dict[UUID, Taken]:
        """Those of them that it has."""
        heard = {event_id for _, event_id in self.heard}
        waits_for = frozenset({"Judge it"})
        return {
            each: Taken(self.begun, waits_for if each in self.ignored else frozenset())
            for each in (heard & {*event_ids}) - self.forgot
        }


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(
        LocalStorageNode(tmp_path / "storage"), tracking=MemoryTrackingStore()
    )


@pytest.fixture
def feed() -> Feed:
    return Feed()


def save(registry: ModelRegistry, name: str = "m") -> str:
    version = registry.register_model(name, "classification", "sklearn").version
    registry.save_model(name, version, MODEL)
    return str(version)


def reconcile(
    registry: ModelRegistry,
    feed: Feed,
    older_than: timedelta = AT_ONCE,
    unheeded_after: timedelta = AT_ONCE,
) -> Reconciled:
    return Reconciler(
        registry,
        feed,
        feed.look_up,
        older_than=older_than,
        unheeded_after=unheeded_after,
    ).run()


def test_a_change_that_nobody_announced_is_delivered_once(
    registry: ModelRegistry, feed: Feed
) -> None:
    Outbox(registry).begin()
    save(registry)
    registry.transition("m", "1.0.0", "production", actor="ada", reason="good")
    assert len(reconcile(registry, feed).delivered) == 2
    reconcile(registry, feed)
    [(made, _), (promoted, event_id)] = feed.heard
    assert isinstance(made, ModelRegistered) and made.framework == "sklearn"
    assert promoted == ModelPromoted(
        name="m", version="1.0.0", stage="production", actor="ada", reason="good"
    )
    [record] = registry.stage_history("m")
    assert str(event_id) == record.event_id


def test_a_promotion_names_whom_it_replaced_and_archiving_is_no_event_of_its_own(
    registry: ModelRegistry, feed: Feed
) -> None:
    Outbox(registry).begin()
    for _ in range(2):
        registry.transition("m", save(registry), "production")
    registry.rollback("m", reason="worse")
    registry.transition("m", "1.0.0", "archived")
    reconcile(registry, feed)
    told = [p for p, _ in feed.heard if isinstance(p, ModelPromoted)]
    assert [(each.version, each.replaced) for each in told] == [
        ("1.0.0", ""),
        ("1.0.1", "1.0.0"),
        ("1.0.0", "1.0.1"),
    ]


def test_history_from_before_the_loop_is_never_announced(
    registry: ModelRegistry, feed: Feed
) -> None:
    save(registry)
    registry.transition("m", "1.0.0", "production")
    assert reconcile(registry, feed).delivered == ()
    registry.transition("m", "1.0.0", "archived")
    registry.transition("m", "1.0.0", "staging")
    [told] = reconcile(registry, feed).delivered
    assert isinstance(told, ModelPromoted) and told.stage == "staging"


def test_a_copy_of_the_storage_replays_no_history(
    registry: ModelRegistry, feed: Feed, tmp_path: Path
) -> None:
    save(registry)
    reconcile(registry, feed)
    save(registry)
    reconcile(registry, feed)
    feed.heard.clear()
    shutil.copytree(tmp_path / "storage", tmp_path / "copy")  # files of today
    copied = ModelRegistry(
        LocalStorageNode(tmp_path / "copy"), tracking=registry.tracking
    )
    copied.storage.delete("models/_meta/outbox/reconciled.json")
    assert reconcile(copied, feed).delivered == ()


def test_what_a_run_may_still_announce_is_left_to_it(
    registry: ModelRegistry, feed: Feed
) -> None:
    Outbox(registry).begin()
    save(registry)
    assert reconcile(registry, feed, timedelta(hours=1)).delivered == ()
    assert len(reconcile(registry, feed).delivered) == 1


def test_what_was_announced_in_time_is_not_delivered_again(
    registry: ModelRegistry, feed: Feed
) -> None:
    Outbox(registry).begin()
    owed = registered(registry, "m", save(registry))
    feed(owed.payload, owed.event_id)
    Outbox(registry).mark_delivered(owed.event_id)
    assert reconcile(registry, feed).delivered == ()


def test_what_the_orchestrator_took_and_lost_is_sent_again_under_its_id(
    registry: ModelRegistry, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(registry)
    outbox.begin()
    kept, lost = (registered(registry, "m", save(registry)) for _ in range(2))
    refused = GateRefused(
        name="m", version="1.0.0", stage="production", policy="p", reasons=["no"]
    )
    whole = refused.event_id("1.0.0")
    outbox.put(whole, refused)
    for event_id in (kept.event_id, lost.event_id, whole):
        outbox.mark_delivered(event_id)
    feed(kept.payload, kept.event_id)
    assert reconcile(registry, feed).delivered == ()  # it may be about to write them
    monkeypatch.setattr(reconciler, "WRITTEN_WITHIN", AT_ONCE)
    reconcile(registry, feed)
    assert {event_id for _, event_id in feed.heard[1:]} == {lost.event_id, whole}
    assert len([*outbox.pending()]) == 2
    assert reconcile(registry, feed).delivered == ()
    assert [*outbox.pending()] == []


def test_what_is_there_and_started_nothing_is_sent_again_three_times_and_then_told(
    registry: ModelRegistry, feed: Feed
) -> None:
    outbox = Outbox(registry)
    outbox.begin()
    owed = registered(registry, "m", save(registry))
    feed.ignores = True
    assert len(reconcile(registry, feed).delivered) == 1
    _forget_what_is_recent(registry)
    later = timedelta(hours=1)
    assert reconcile(registry, feed, unheeded_after=later) == Reconciled((), ())
    for _ in range(3):
        assert reconcile(registry, feed).delivered == (owed.payload,)
        assert [each.event_id for each in outbox.pending()] == [owed.event_id]
    [(_, first), *again] = feed.heard
    assert (
        first == owed.event_id
        and len({event_id for _, event_id in again} | {first}) == 4
    )
    [stuck] = reconcile(registry, feed).unheeded
    assert stuck == Unheeded(owed.payload, ("Judge it",))
    assert reconcile(registry, feed) == Reconciled((), ())
    assert [*outbox.pending()] == []


def test_what_started_its_run_under_another_id_is_not_sent_again(
    registry: ModelRegistry, feed: Feed
) -> None:
    Outbox(registry).begin()
    owed = registered(registry, "m", save(registry))
    feed.ignores = True
    reconcile(registry, feed)
    feed.ignores = False
    assert reconcile(registry, feed).delivered == (owed.payload,)
    assert reconcile(registry, feed) == Reconciled((), ())
    assert [*Outbox(registry).pending()] == []


def test_an_event_that_could_not_be_sent_for_long_is_looked_after_when_it_was(
    registry: ModelRegistry, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    Outbox(registry).begin()
    save(registry)
    assert len(reconcile(registry, feed).delivered) == 1
    _forget_what_is_recent(registry)
    feed.heard.clear()  # the server died before it wrote it
    monkeypatch.setattr(reconciler, "WRITTEN_WITHIN", AT_ONCE)
    assert len(reconcile(registry, feed).delivered) == 1


def _forget_what_is_recent(registry: ModelRegistry) -> None:
    """As if reconciliation had got so far that the journal is not read again."""
    Outbox(registry).keep_progress(
        Progress(datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC))
    )


def test_an_absent_server_loses_nothing(registry: ModelRegistry, feed: Feed) -> None:
    Outbox(registry).begin()
    save(registry)
    feed.away = True
    for _ in range(2):
        with pytest.raises(PrefectUnavailableError):
            reconcile(registry, feed)
    feed.away = False
    assert len(reconcile(registry, feed).delivered) == 1


def test_judgements_of_the_loop_are_announced_and_those_by_hand_are_not(
    registry: ModelRegistry, feed: Feed
) -> None:
    Outbox(registry).begin()
    save(registry)
    registry.record_evaluation("m", "1.0.0", {"metrics": {"f1": 0.1}})
    registry.record_drift("m", "1.0.0", {"status": "drift"})
    registry.record_evaluation("m", "1.0.0", announces(EVALUATED))
    registry.record_drift("m", "1.0.0", announces(ALARM))
    _, *told = reconcile(registry, feed).delivered
    assert told == [EVALUATED, ALARM]


def test_an_event_without_a_record_waits_whole_in_the_outbox(
    registry: ModelRegistry, feed: Feed
) -> None:
    refused = GateRefused(
        name="m", version="1.0.0", stage="production", policy="p", reasons=["no"]
    )
    event_id = refused.event_id("1.0.0")
    Outbox(registry).put(event_id, refused)
    reconcile(registry, feed)
    assert feed.heard == [(refused, event_id)]
    Outbox(registry).put(event_id, refused)  # announced again
    assert reconcile(registry, feed).delivered == ()


def test_what_can_not_be_read_holds_nothing_else_back(
    registry: ModelRegistry, feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    Outbox(registry).begin()
    save(registry)
    save(registry, "other")
    storage = registry.storage
    storage.create("models/_meta/outbox/pending/x.json", b"[]")
    storage.create("models/m/_journal/drift/1.0.0/00000001.json", b"\x00")
    registry.record_drift("m", "1.0.0", {"announces": {"event": "nope"}})
    key = "models/m/_journal/seals/1.0.0.json"
    storage.delete(key)
    storage.create(key, b"{}")
    with caplog.at_level(logging.WARNING):
        done = reconcile(registry, feed)
    [told] = done.delivered
    assert told.name == "other"
    for word in ("00000001.json", "seals/1.0.0.json"):
        assert word in caplog.text
    pending, drift = map(str, done.untold)
    assert pending.startswith("no event for models/_meta/outbox/pending/x.json: ")
    assert drift.startswith("no event for the drift of m 1.0.0: ")


def test_old_events_that_can_not_be_told_are_told_of_once_with_a_remedy(
    registry: ModelRegistry, feed: Feed, offered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(registry)
    outbox.begin()
    event_id = uuid4()
    outbox.put(event_id, TRAINED)
    key = f"models/_meta/outbox/pending/{event_id}.json"
    written, etag = registry.storage.read(key)  # an earlier release wrote NaN there
    registry.storage.replace(key, written.replace(b"0.125", b"NaN"), etag=etag)
    checks = "brixa_flows.registry.registry.check_event_facts"
    monkeypatch.setattr(checks, lambda name, uri, facts: facts)
    registry.register_run(offered, name="m", once=True, event_facts={"name": "other"})
    first, second = reconcile(registry, feed).untold
    assert str(first) == (
        f"no event for {key}: hyperparameters['rate'] is nan, which no "
        "event can tell; leave it out, or send it as a text; correct that file, or "
        "remove it and announce the same again without the value"
    )
    assert "the seal of m 1.0.0" in str(second)
    assert "start evaluate_model for it by hand" in str(second)
    assert reconcile(registry, feed).untold == ()
    shown = Reconciler(registry, feed).untold()
    assert shown == [first, second], "but whoever asks is told each time"
    registry.storage.delete(key)
    assert Reconciler(registry, feed).untold() == [second]


@pytest.fixture
def offered(registry: ModelRegistry, tmp_path: Path) -> str:
    """URI of a model that a team logged."""
    logged = tmp_path / "logged"
    mlflow.sklearn.save_model(MODEL, logged, pip_requirements=["scikit-learn"])
    model = AdoptableModel("runs:/1/model", logged, logged.as_uri(), run_id="1")
    registry.tracking.offer(model)  # type: ignore[attr-defined]
    return model.uri


def test_an_adopted_version_is_announced_with_what_its_training_said(
    registry: ModelRegistry, feed: Feed, offered: str
) -> None:
    Outbox(registry).begin()
    rows = [{"name": "held-out", "uri": "rows.parquet"}]
    registry.register_run(
        offered,
        name="m",
        once=True,
        event_facts={"evaluations": rows, "target": "late", "policy": "strict"},
    )
    [told] = reconcile(registry, feed).delivered
    facts = told.to_payload()
    assert (facts["model_uri"], facts["target"]) == ("runs:/1/model", "late")
    assert (facts["evaluations"], facts["policy"]) == (rows, "strict")


def test_records_of_a_release_that_knew_one_policy_are_announced_with_it(
    registry: ModelRegistry, feed: Feed, offered: str
) -> None:
    Outbox(registry).begin()
    facts = {"evaluations": [], "target": "late"}
    registry.register_run(offered, name="m", once=True, event_facts=facts)
    judged = announces(EVALUATED)
    training = TrainingCompleted(
        name="m", model_uri=offered, framework="sklearn", model_type="c"
    )
    event_id = training.event_id(offered)
    payload = training.model_dump(mode="json")
    for old in (judged["announces"]["payload"], payload):
        assert old.pop("policy") == "production"
    registry.record_evaluation("m", "1.0.0", judged)
    record = {"event_id": str(event_id), "event": training.event, "payload": payload}
    record["at"] = datetime.now(UTC).isoformat()
    key = f"models/_meta/outbox/pending/{event_id}.json"
    registry.storage.create(key, json.dumps(record).encode())
    told = reconcile(registry, feed).delivered
    assert [each.to_payload()["policy"] for each in told] == ["production"] * 3
    assert {each.event for each in told} == {
        TrainingCompleted.event,
        ModelRegistered.event,
        ModelEvaluated.event,
    }


def test_nothing_to_do_reads_nothing_old(
    registry: ModelRegistry, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    Outbox(registry).begin()
    for _ in range(3):
        registry.transition("m", save(registry), "production")
    for _ in range(2):
        reconcile(registry, feed)
    _age(registry, timedelta(hours=1))
    read: list[str] = []
    original = LocalStorageNode.read
    monkeypatch.setattr(
        LocalStorageNode,
        "read",
        lambda node, key: read.append(key) or original(node, key),  # type: ignore[func-returns-value]
    )
    done = reconcile(registry, feed)
    assert done == Reconciled((), ())
    assert sorted(key.rpartition("/")[2] for key in read) == [
        "projected.json",
        "reconciled.json",
        "started.json",
    ]


def _age(registry: ModelRegistry, by: timedelta) -> None:
    """Let the journal's files be as old as that."""
    then = (datetime.now(UTC) - by).timestamp()
    root = registry.storage.root  # type: ignore[attr-defined]
    for path in (root / "models" / "m" / "_journal").rglob("*.json"):
        os.utime(path, (then, then))


def test_traces_of_a_crash_are_repaired_at_once_and_the_rest_once_a_day(
    registry: ModelRegistry, feed: Feed
) -> None:
    save(registry)
    reconcile(registry, feed)
    reconciled = "models/_meta/outbox/reconciled.json"
    first = json.loads(registry.storage.read(reconciled)[0])["recovered"]
    registry.transition("m", "1.0.0", "production")
    assert reconcile(registry, feed).repaired == ()
    assert json.loads(registry.storage.read(reconciled)[0])["recovered"] == first
    registry.storage.delete("models/m/_journal/projected.json")  # died before it
    [action] = reconcile(registry, feed).repaired
    assert action.action == "stages shown"


def test_an_event_that_is_refused_is_told_once_and_holds_nothing_back(
    registry: ModelRegistry, feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(registry)
    outbox.begin()
    bad = ALARM.model_copy(update={"name": "bad"})
    for payload in (bad, ALARM, EVALUATED):
        outbox.put(uuid4(), payload)

    def deliver(payload: EventPayload, event_id: UUID) -> None:
        if payload.name == "bad":
            raise OrchestrationError("it is too large")
        feed(payload, event_id)

    def run() -> Reconciled:
        return Reconciler(registry, deliver, feed.look_up, older_than=AT_ONCE).run()

    done = run()
    assert sorted(each.event for each in done.delivered) == sorted(
        [ALARM.event, EVALUATED.event]
    )
    assert done.refused == (Refused(bad, "it is too large"),)
    assert outbox.progress().recovered is not None
    assert run() == Reconciled((), ())
    assert caplog.text.count("it is too large") == 2, "each run tries again"


def test_what_no_event_can_tell_is_refused_before_it_is_kept() -> None:
    facts = {"name": "m", "model_uri": "runs:/x", "framework": "a", "model_type": "b"}
    for update, fault in (
        ({"metrics": {"loss": float("nan")}}, r"metrics\['loss'\] is nan, which no"),
        ({"hyperparameters": {"a": [1.0, float("inf")]}}, r"hyperparameters.*is inf"),
        ({"description": "half \ud800"}, "description holds half a character"),
    ):
        with pytest.raises(ValueError, match=fault):
            TrainingCompleted.model_validate(facts | update)
    nothing = EVALUATED.model_copy(update={"comparison": {"p": float("nan")}})
    assert type(nothing)(**nothing.model_dump()).to_payload()["comparison"] == {
        "p": None
    }
