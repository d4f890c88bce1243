"""The stage machine, as a table and against random histories."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brixa_flows.errors import (
    InvalidMetadataError,
    StageHolderError,
    StageTransitionError,
)
from brixa_flows.registry.facts.records import Change, LostChange, new_id
from brixa_flows.registry.facts.stages import STAGES, TRANSITIONS, Lifecycle, fold
from brixa_flows.versioning import ModelVersion

VERSIONS = [ModelVersion(1, minor, 0) for minor in range(4)]
AT = datetime(2026, 1, 1, tzinfo=UTC)


def change(state: Lifecycle, kind: str, version: ModelVersion, moves: object) -> Change:
    return Change.model_validate(
        {
            "number": state.number + 1,
            "kind": kind,
            "version": version,
            "actor": "ann",
            "reason": "because",
            "at": AT,
            "event_id": new_id(),
            "moves": moves,
        }
    )


def step(changes: list[Change], order: str, version: ModelVersion) -> None:
    """Apply an order if it is allowed; a refused one changes nothing."""
    state = fold("m", changes)
    try:
        if order == "rollback":
            moves = state.plan_rollback(VERSIONS.__contains__, "back")
        else:
            moves = state.plan_transition(version, order, "on")
    except StageTransitionError:
        return
    kind = "rollback" if order == "rollback" else "transition"
    changes.append(change(state, kind, version, moves))


orders = st.lists(
    st.tuples(st.sampled_from([*STAGES, "rollback"]), st.sampled_from(VERSIONS)),
    max_size=25,
)


@given(orders)
def test_no_history_ever_has_two_holders_or_a_forbidden_move(
    history: list[tuple[str, ModelVersion]],
) -> None:
    changes: list[Change] = []
    for order, version in history:
        before = fold("m", changes)
        step(changes, order, version)
        after = fold("m", changes)
        held = list(after.stages.values())
        assert held.count("production") <= 1
        assert held.count("staging") <= 1
        if after.number == before.number:
            assert after == before
            continue
        for move in changes[-1].moves:
            assert before.stages.get(move.version) == move.source
            assert after.stages.get(move.version) == move.target
            rolled = changes[-1].kind == "rollback" and move.target == "production"
            assert rolled or move.target in TRANSITIONS[move.source]


@given(orders)
def test_the_history_replayed_gives_the_present_stages(
    history: list[tuple[str, ModelVersion]],
) -> None:
    changes: list[Change] = []
    for order, version in history:
        step(changes, order, version)
    state = fold("m", changes)
    replayed: dict[ModelVersion, str | None] = {}
    for number, record in enumerate(state.history, start=1):
        assert record.number == number
        assert replayed.get(record.version) == record.source
        replayed[record.version] = record.target
    assert {v: s for v, s in replayed.items() if s is not None} == state.stages


@given(st.permutations(VERSIONS))
def test_rollback_walks_back_through_every_production(
    promoted: list[ModelVersion],
) -> None:
    changes: list[Change] = []
    for version in promoted:
        step(changes, "production", version)
    for version in reversed(promoted[:-1]):
        step(changes, "rollback", version)
        assert fold("m", changes).holder("production") == version
    with pytest.raises(StageTransitionError, match="no earlier version"):
        fold("m", changes).plan_rollback(VERSIONS.__contains__, "")


ALLOWED = {
    (None, "staging"),
    (None, "production"),
    ("staging", "production"),
    ("staging", "archived"),
    ("production", "archived"),
    ("archived", "staging"),
}


@pytest.mark.parametrize("source", [None, *STAGES])
@pytest.mark.parametrize("target", STAGES)
def test_the_table_allows_exactly_what_the_design_says(
    source: str | None, target: str
) -> None:
    one = VERSIONS[0]
    state = Lifecycle("m", 1, {} if source is None else {one: source})
    if (source, target) in ALLOWED:
        assert state.plan_transition(one, target, "")[-1].target == target
    else:
        with pytest.raises(StageTransitionError, match=f"can't go from {source or ''}"):
            state.plan_transition(one, target, "")


def test_who_is_displaced_is_archived_and_told_by_whom() -> None:
    old, new = VERSIONS[:2]
    changes: list[Change] = []
    step(changes, "production", old)
    step(changes, "production", new)
    archived, promoted = fold("m", changes).history[1:]
    assert (archived.version, archived.target) == (old, "archived")
    assert archived.reason == "superseded by 1.1.0"
    assert (promoted.version, promoted.replaced) == (new, old)
    assert archived.event_id != promoted.event_id


def test_who_is_to_be_replaced_must_be_there() -> None:
    one, two, three = VERSIONS[:3]
    changes: list[Change] = []
    fold("m", changes).refuse_unless_held(one, "production", "none")
    step(changes, "production", one)
    state = fold("m", changes)
    state.refuse_unless_held(two, "production", one)
    for wrong in (three, "none"):
        with pytest.raises(StageHolderError, match="but 1.0.0 is there now"):
            state.refuse_unless_held(two, "production", wrong)
    with pytest.raises(StageHolderError, match="but none is there now"):
        state.refuse_unless_held(two, "staging", one)
    with pytest.raises(InvalidMetadataError, match="has no single holder"):
        state.refuse_unless_held(two, "archived", one)


def test_nobody_replaces_whom_a_lost_record_hides() -> None:
    one, two = VERSIONS[:2]
    changes: list[Change] = []
    step(changes, "production", one)
    lost = LostChange.at_key("models/m/_journal/changes/00000002.json", 2, "torn")
    state = fold("m", [*changes, lost])
    with pytest.raises(StageHolderError, match="whoever .*00000002.json names"):
        state.refuse_unless_held(two, "production", one)


def test_a_rollback_passes_over_versions_that_cannot_be_loaded() -> None:
    changes: list[Change] = []
    for version in VERSIONS[:3]:
        step(changes, "production", version)
    moves = fold("m", changes).plan_rollback(
        {VERSIONS[0], VERSIONS[2]}.__contains__, ""
    )
    assert moves[-1].version == VERSIONS[0]
