"""Who stood where at a moment, and what differs between two versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from brixa_flows.errors import InvalidMetadataError, ModelNotFoundError
from brixa_flows.registry import DatasetRef, ModelMetadata, ModelRegistry
from brixa_flows.registry.facts.diffing import Judged, diff_versions
from brixa_flows.registry.facts.metadata import CodeRef, Lineage
from brixa_flows.registry.facts.records import Change, Move
from brixa_flows.registry.facts.timeline import snapshot
from brixa_flows.versioning import ModelVersion
from tests.registry.conftest import SaveVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

ONE, TWO = ModelVersion(1, 0, 0), ModelVersion(1, 1, 0)


def schema(**columns: str) -> dict:
    properties = {name: {"type": kind} for name, kind in columns.items()}
    return {"type": "object", "properties": properties, "required": sorted(columns)}


def test_the_stages_at_a_moment_are_those_of_the_changes_until_then(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    save("m", "1.0.0")
    save("m", "1.1.0")
    before = datetime.now(UTC)
    registry.transition("m", "1.0.0", "production", reason="first")
    registry.set_alias("m", "champion", "1.0.0", actor="ann", reason="best")
    between = datetime.now(timezone(timedelta(hours=5)))
    registry.transition("m", "1.1.0", "production", reason="second")
    registry.set_alias("m", "champion", "1.1.0", actor="bob", reason="better")
    assert registry.stage_at("m", before).production is None
    then = registry.stage_at("m", between)
    assert (then.production, then.staging) == (ONE, None)
    assert then.aliases == {"champion": ONE}
    now = registry.stage_at("m", datetime.now(UTC))
    assert now.production == TWO
    assert now.stages == {"1.0.0": "archived", "1.1.0": "production"}
    assert "1.1.0  champion" in str(now)


def test_own_aliases_have_a_history_too(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    save("m", "1.0.0")
    save("m", "1.1.0")
    registry.set_alias("m", "champion", "1.0.0", actor="ann", reason="best")
    registry.set_alias("m", "champion", "1.1.0", actor="bob", reason="better")
    registry.set_alias("m", "eu", "1.0.0")
    registry.set_alias("m", "eu", None)
    registry.delete_version("m", "1.1.0", actor="cy", reason="broken")
    told = [
        (each.alias, each.previous, each.version)
        for each in registry.alias_history("m")
    ]
    assert told == [
        ("champion", None, ONE),
        ("champion", ONE, TWO),
        ("eu", None, ONE),
        ("eu", ONE, None),
        ("champion", TWO, None),
    ]
    last = registry.alias_history("m")[-1]
    assert (last.actor, last.reason) == ("cy", "broken")


@pytest.mark.parametrize("when", [datetime(2026, 1, 1), "2026-01-01", None])
def test_a_moment_without_a_time_zone_is_refused(
    registry: ModelRegistry, when: object
) -> None:
    registry.register_model("m", "t")
    with pytest.raises(InvalidMetadataError, match="time zone"):
        registry.stage_at("m", when)  # type: ignore[arg-type]
    with pytest.raises(ModelNotFoundError):
        registry.stage_at("other", datetime.now(UTC))


def test_a_clock_that_is_ahead_hides_no_later_change() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def change(number: int, version: ModelVersion, at: datetime) -> Change:
        move = Move(
            version=version, source=None, target="production", reason="", event_id="e"
        )
        return Change(
            number=number,
            kind="transition",
            version=version,
            actor="a",
            reason="",
            at=at,
            event_id="e",
            moves=(move,),
        )

    changes = [
        change(1, ONE, noon + timedelta(hours=1)),
        change(2, TWO, noon + timedelta(minutes=5)),
    ]
    then = snapshot("m", changes, noon + timedelta(minutes=30))
    assert set(then.stages) == {"1.0.0", "1.1.0"}
    assert snapshot("m", changes, noon).stages == {}


def _known(version: str, **facts: object) -> ModelMetadata:
    given = {"name": "m", "model_type": "t", "created_at": datetime.now(UTC)}
    return ModelMetadata.model_validate({**given, "version": version, **facts})


def test_the_bump_is_explained_in_words() -> None:
    old = _known("1.0.0", input_schema=schema(age="number", city="string"))
    closed = {**schema(age="number"), "additionalProperties": False}
    gone = diff_versions(old, _known("1.1.0", input_schema=closed))
    assert gone.bump == "major"
    assert gone.bump_reason.startswith("major, because input column city is gone")
    assert gone.bump_reason.endswith("(the number says minor)")
    more = diff_versions(
        _known("1.0.0"), _known("1.1.0", output_schema=schema(p="number"))
    )
    assert more.bump_reason == "minor, because the output has a schema now"
    same = diff_versions(old, _known("1.0.1", input_schema=old.input_schema))
    assert same.bump_reason == "patch, because the schemas are the same"
    wanted = diff_versions(
        old,
        _known("2.0.0", input_schema=schema(age="number", city="string", zip="string")),
    )
    assert "input column zip is required now and breaks callers" in wanted.bump_reason
    assert "number says" not in wanted.bump_reason


def test_each_fact_that_differs_is_told_with_both_values() -> None:
    old = _known(
        "1.0.0",
        framework="sklearn",
        size_bytes=10,
        description="the first",
        tags={"team": "ops", "nlp": ""},
        custom={"budget": {"eu": 1}, "same": None},
        metrics={"f1": 0.5, "auc": 0.7, "gone": 1.0},
        hyperparameters={"depth": 3, "same": [1]},
        dependencies={"numpy": ">=2"},
        lineage=Lineage(
            datasets=(DatasetRef(name="jan", digest="sha256:a", rows=5),),
            environment={"numpy": "2.3", "scipy": "1.0"},
            code=CodeRef(commit="c0ffee"),
        ),
    )
    new = _known(
        "1.1.0",
        framework="pickle",
        size_bytes=20,
        description="x\n" * 500,
        owner="ada",
        license="MIT",
        tags={"team": "ml"},
        custom={"budget": {"eu": 2}, "same": None},
        metrics={"f1": 0.75, "auc": 0.7, "new": 2.0},
        hyperparameters={"depth": 4, "same": [1]},
        lineage=Lineage(
            datasets=(DatasetRef(name="feb", rows=9),),
            environment={"numpy": "2.4", "scipy": "1.0"},
            code=CodeRef(commit="c0ffee", dirty=True),
        ),
    )
    march = {"metrics": {"f1": 0.5, "auc": 0.7}, "dataset": {"name": "march"}}
    april = {
        "metrics": {"f1": 0.75, "new": 2.0},
        "dataset": {"name": "april", "digest": "9"},
    }
    again = {"metrics": {"auc": 0.7}, "dataset": {"name": "march"}}
    on_april = DatasetRef(name="april", digest="9", role="evaluation")
    found = diff_versions(
        old,
        new,
        Judged([march]),
        Judged([april, again, {"metrics": None}], [on_april]),
    )
    assert list(map(str, found.metrics)) == [
        "auc: 0.7 -> 0.7 (+0) on march",
        "f1: 0.5 -> 0.75 (+0.25), on march and on april (9)",
        "gone: 1 -> none",
        "new: none -> 2 on april (9)",
    ]
    assert list(map(str, found.parameters)) == ["depth: 3 -> 4"]
    assert list(map(str, found.environment)) == ["numpy: 2.3 -> 2.4"]
    assert list(map(str, found.dependencies)) == ["numpy: >=2 -> none"]
    assert list(map(str, found.tags)) == ["nlp: set -> none", "team: ops -> ml"]
    assert list(map(str, found.custom)) == ["budget: {'eu': 1} -> {'eu': 2}"]
    assert list(map(str, found.datasets)) == [
        "evaluation april: none -> 9",
        "training feb: none -> 9 rows",
        "training jan: 5 rows, sha256:a -> none",
    ]
    [described] = [x for x in map(str, found.facts) if x.startswith("description")]
    assert described.startswith("description: the first -> x x x")
    assert " ... " in described and len(described) < 250
    assert [each for each in map(str, found.facts) if each != described] == [
        "code: c0ffee -> c0ffee+dirty",
        "framework: sklearn -> pickle",
        "license: none -> MIT",
        "owner: none -> ada",
        "size: 10 -> 20",
    ]


def test_the_data_of_logged_metrics_is_compared(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    for version, month in (("1.0.0", "march"), ("1.1.0", "april")):
        save("m", version)
        registry.log_metrics("m", version, {"f1": 0.5}, {"name": month})
    found = registry.diff("m", "1.0.0", "1.1.0")
    assert str(found.metrics[0]) == "f1: 0.5 -> 0.5 (+0), on march and on april"
    assert [each.name for each in found.datasets] == [
        "measured on april",
        "measured on march",
    ]


def test_two_saved_versions_are_compared_by_any_spec(
    registry: ModelRegistry, save: SaveVersion
) -> None:
    save("m", "1.0.0", metrics={"f1": 0.5}, hyperparameters={"C": 1})
    save("m", "1.1.0", hyperparameters={"C": 2})
    registry.transition("m", "1.0.0", "production")
    registry.record_evaluation(
        "m", "1.0.0", {"metrics": {"f1": 0.5}, "dataset": {"name": "march"}}
    )
    found = registry.diff("m", "production", "latest")
    assert (found.before, found.after) == (ONE, TWO)
    assert found.metrics[0].dataset_before == "march"
    assert str(found.parameters[0]) == "C: 1 -> 2"
    assert type(found).model_validate_json(found.model_dump_json()) == found
