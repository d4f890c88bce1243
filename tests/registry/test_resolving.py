"""Which version a person means."""

from __future__ import annotations

from typing import Any

import pytest

from brixa_flows.errors import (
    InvalidConstraintError,
    InvalidNameError,
    ModelNotSavedError,
    StageTransitionError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelRegistry
from brixa_flows.registry.facts.resolving import resolve
from brixa_flows.registry.facts.stages import Lifecycle
from brixa_flows.registry.reading.reader import Standing
from brixa_flows.versioning import ModelVersion

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

V = ModelVersion.parse


def standing(
    *ready: str,
    waiting: tuple[str, ...] = (),
    bad: tuple[str, ...] = (),
    aliases: dict[str, str] | None = None,
    **stages: str,
) -> Standing:
    """``standing("1.0.0", production="1.0.0")``; archived takes several, by spaces."""
    held = {
        V(version): stage for stage, text in stages.items() for version in text.split()
    }
    pointed = {alias: V(version) for alias, version in (aliases or {}).items()}
    sealed = frozenset(map(V, (*ready, *bad)))
    return Standing(
        "m",
        tuple(sorted(map(V, (*ready, *waiting, *bad)))),
        sealed,
        frozenset(map(V, bad)),
        Lifecycle("m", 1, held, (), pointed),  # type: ignore[arg-type]
    )


MANY = ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0-rc.1")

TABLE = [
    (standing(*MANY), None, "2.0.0"),
    (standing(*MANY, production="1.1.0"), None, "1.1.0"),
    (standing(*MANY, production="1.1.0"), "latest", "2.0.0"),
    (standing(*MANY, archived="2.0.0"), "latest", "1.2.0"),
    (standing(*MANY, archived="2.0.0 1.2.0"), "^1", "1.1.0"),
    (standing(*MANY, archived="2.0.0"), "2.0.0", "2.0.0"),
    (standing(*MANY, archived="2.0.0", aliases={"old": "2.0.0"}), "old", "2.0.0"),
    (standing("1.0.0-rc.1", "1.0.0-rc.2"), None, "1.0.0-rc.2"),
    (standing("1.0.0-rc.1", "1.0.0-rc.2"), "latest", "1.0.0-rc.2"),
    (standing("1.0.0", "1.1.0-rc.1"), None, "1.0.0"),
    (standing(*MANY, waiting=("3.0.0",)), None, "2.0.0"),
    (standing(*MANY, waiting=("3.0.0",)), ">=1", "2.0.0"),
    (standing(*MANY, bad=("3.0.0",)), "latest", "2.0.0"),
    (standing(*MANY), "^1.0", "1.2.0"),
    (standing(*MANY), "~1.1.0", "1.1.0"),
    (standing(*MANY), ">=2.1.0-rc.0", "2.1.0-rc.1"),
    (standing(*MANY), "*", "2.0.0"),
    (standing(*MANY), "1.x", "1.2.0"),
    (standing(*MANY), "<2.0.0 || 9.x", "1.2.0"),
    (standing(*MANY), V("1.1.0"), "1.1.0"),
    (standing(*MANY, staging="1.2.0"), "staging", "1.2.0"),
    (standing(*MANY, aliases={"champion-eu": "1.0.0"}), " champion-eu ", "1.0.0"),
]


@pytest.mark.parametrize(("known", "spec", "expected"), TABLE)
def test_a_spec_means_the_version_the_design_says(
    known: Standing, spec: Any, expected: str
) -> None:
    assert str(resolve(known, spec)) == expected


@pytest.mark.parametrize(
    ("known", "spec", "error", "complaint"),
    [
        (standing(*MANY), "9.9.9", VersionNotFoundError, "ready versions: 1.0.0"),
        (standing(*MANY), "^7", VersionNotFoundError, "'\\^7'"),
        (standing(*MANY), "production", VersionNotFoundError, "nothing is in prod"),
        (standing(*MANY), "archived", VersionNotFoundError, "name one exactly"),
        (standing(*MANY), "champion", VersionNotFoundError, "own aliases: none"),
        (standing(*MANY), "not a version", InvalidConstraintError, "not a version"),
        (standing(*MANY), ">=1.0.0 <", InvalidConstraintError, "constraint"),
        (standing("1.0.0", archived="1.0.0"), None, VersionNotFoundError, "archived"),
        (
            standing("1.0.0", archived="1.0.0", waiting=("1.1.0",), bad=("1.2.0",)),
            "^1",
            VersionNotFoundError,
            "passed over: 1.2.0 is quarantined, 1.1.0 is registered and not saved, "
            "1.0.0 is archived$",
        ),
        (standing(waiting=("1.0.0",)), None, ModelNotSavedError, "1.0.0"),
        (standing(waiting=("1.0.0",)), "1.0.0", ModelNotSavedError, "1.0.0"),
        (standing(bad=("1.0.0",)), "1.0.0", VersionNotFoundError, "quarantined"),
        (standing(*MANY, bad=("3.0.0",), production="3.0.0"), None, LookupError, "3.0"),
    ],
)
def test_what_answers_to_nothing_is_told_with_what_is_there(
    known: Standing, spec: str | None, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        resolve(known, spec)


@pytest.mark.parametrize(
    "alias",
    ["production", "Staging", "latest", "x", "X", "v1", "V12", "1", "a.b", ""],
)
def test_an_alias_that_means_something_else_is_refused(
    registry: ModelRegistry, save: Any, alias: str
) -> None:
    save("m")
    with pytest.raises(InvalidNameError, match="alias"):
        registry.set_alias("m", alias, "1.0.0")


def test_own_aliases_are_shown_in_the_backend_and_move_and_go(
    registry: ModelRegistry, tracking: Any, save: Any
) -> None:
    save("m")
    save("m")
    registry.set_alias("m", "champion-eu", "1.0.0", actor="ann", reason="best")
    assert tracking.aliases("m") == {"champion-eu": "1.0.0"}
    assert registry.get_metadata("m", "champion-eu").aliases == ("champion-eu",)
    registry.set_alias("m", "champion-eu", "1.0.1")
    assert str(registry.resolve("m", "champion-eu")) == "1.0.1"
    assert tracking.aliases("m") == {"champion-eu": "1.0.1"}
    registry.set_alias("m", "champion-eu", None)
    assert tracking.aliases("m") == {}
    with pytest.raises(VersionNotFoundError):
        registry.resolve("m", "champion-eu")


def test_promotions_are_shown_as_aliases_and_tags(
    registry: ModelRegistry, tracking: Any, save: Any
) -> None:
    for _ in range(3):
        save("m")
    registry.transition("m", "1.0.0", "production", actor="ann", reason="first")
    record = registry.transition("m", "1.0.1", "production", actor="bob", reason="f1")
    assert (str(record.replaced), record.actor, record.reason) == ("1.0.0", "bob", "f1")
    registry.transition("m", "1.0.2", "staging")
    assert tracking.aliases("m") == {"production": "1.0.1", "staging": "1.0.2"}
    stages = {each.version: each.stage for each in tracking.list_versions("m")}
    assert stages == {"1.0.0": "archived", "1.0.1": "production", "1.0.2": "staging"}
    back = registry.rollback("m", actor="eve", reason="alarm")
    assert (str(back.version), str(back.replaced)) == ("1.0.0", "1.0.1")
    assert tracking.aliases("m")["production"] == "1.0.0"
    registry.transition("m", "1.0.0", "archived")
    assert tracking.aliases("m") == {"staging": "1.0.2"}
    assert [
        r.target for r in registry.stage_history("m") if r.version == V("1.0.0")
    ] == [
        "production",
        "archived",
        "production",
        "archived",
    ]
    listed = registry.list_versions("m", stage="archived")
    assert [str(each.version) for each in listed] == ["1.0.0", "1.0.1"]
    listed = registry.list_versions("m", constraint=">1.0.0 <1.0.2")
    assert [str(each.version) for each in listed] == ["1.0.1"]


def test_forbidden_moves_say_what_is_allowed(
    registry: ModelRegistry, save: Any
) -> None:
    save("m")
    with pytest.raises(StageTransitionError, match="may go to staging, production"):
        registry.transition("m", "1.0.0", "archived")
    with pytest.raises(StageTransitionError, match="stages are staging"):
        registry.transition("m", "1.0.0", "prod")
    registry.transition("m", "1.0.0", "production")
    with pytest.raises(StageTransitionError, match="there already"):
        registry.transition("m", "1.0.0", "production")
    with pytest.raises(StageTransitionError, match="promote another"):
        registry.delete_version("m", "1.0.0")
    registry.transition("m", "1.0.0", "archived")
    with pytest.raises(StageTransitionError, match="rollback"):
        registry.transition("m", "1.0.0", "production")
    assert len(registry.stage_history("m")) == 2


def test_an_alias_moved_by_hand_in_the_backend_is_left_alone_by_recovery(
    registry: ModelRegistry, tracking: Any, save: Any
) -> None:
    save("m")
    save("m")
    registry.transition("m", "1.0.0", "production")
    moved = tracking.get_version("m", "1.0.1")
    tracking.set_alias("m", "production", moved.backend_version)
    assert registry.recover() == []
    assert tracking.aliases("m") == {"production": "1.0.1"}
    assert str(registry.resolve("m", "production")) == "1.0.0"
