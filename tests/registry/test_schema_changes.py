"""Which bump a change of the schemas asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brixa_flows.registry.facts.schema_changes import (
    bump_for,
    input_changes,
    output_changes,
)

NUMBER = {"type": "number"}
TEXT = {"type": "string"}


def record(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def closed(**properties: Any) -> dict[str, Any]:
    return {**record(**properties), "additionalProperties": False}


A = record(a=NUMBER)
ENUM = {"enum": ["low", "high"]}

# old, new, bump as input, bump as output
TABLE = [
    (None, None, "patch", "patch"),
    (None, A, "minor", "minor"),
    (A, None, "major", "major"),
    (A, A, "patch", "patch"),
    (A, {**A, "title": "renamed", "x-dtype": "float32"}, "patch", "patch"),
    (A, record(a=NUMBER, b=NUMBER), "major", "minor"),
    (A, record(["a"], a=NUMBER, b=NUMBER), "minor", "minor"),
    (record(a=NUMBER, b=NUMBER), A, "minor", "major"),
    (closed(a=NUMBER, b=NUMBER), closed(a=NUMBER), "major", "major"),
    (A, closed(a=NUMBER), "major", "minor"),
    (closed(a=NUMBER), A, "minor", "major"),
    (A, record([], a=NUMBER), "minor", "major"),
    (record([], a=NUMBER), A, "major", "minor"),
    (A, record(a=TEXT), "major", "major"),
    (record(a={"type": "integer"}), A, "minor", "major"),
    (A, record(a={"type": "integer"}), "major", "minor"),
    (A, record(a={"type": ["number", "null"]}), "minor", "major"),
    (record(a={"type": ["number", "null"]}), A, "major", "minor"),
    (record(a={}), A, "major", "minor"),
    (record(a=ENUM), record(a={"enum": ["low"]}), "major", "minor"),
    (record(a=ENUM), record(a={"enum": ["low", "mid", "high"]}), "minor", "major"),
    (record(a=ENUM), record(a={"const": "low"}), "major", "minor"),
    (record(a=TEXT), record(a={**TEXT, **ENUM}), "major", "minor"),
    (A, record(a={**NUMBER, "minimum": 0}), "major", "minor"),
    (record(a={"minimum": 0}), record(a={"minimum": 1}), "major", "minor"),
    (record(a={"maximum": 9}), record(a={"maximum": 10}), "minor", "major"),
    (record(a={"maxLength": 9}), record(a={}), "minor", "major"),
    (record(a={"pattern": "a"}), record(a={"pattern": "b"}), "major", "major"),
    (record(a=TEXT), record(a={**TEXT, "format": "date"}), "major", "minor"),
    (
        {"type": "array", "items": NUMBER, "minItems": 4, "maxItems": 4},
        {"type": "array", "items": NUMBER, "minItems": 5, "maxItems": 5},
        "major",
        "major",
    ),
    (
        {"type": "array", "items": {"type": "integer"}},
        {"type": "array", "items": NUMBER},
        "minor",
        "major",
    ),
    (
        {"$ref": "#/$defs/n", "$defs": {"n": NUMBER}},
        {"$ref": "#/$defs/m", "$defs": {"m": NUMBER}},
        "patch",
        "patch",
    ),
]


@pytest.mark.parametrize(("old", "new", "as_input", "as_output"), TABLE)
def test_inputs_may_widen_and_outputs_may_narrow(
    old: dict[str, Any] | None,
    new: dict[str, Any] | None,
    as_input: str,
    as_output: str,
) -> None:
    assert bump_for(input_changes(old, new)) == as_input
    assert bump_for(output_changes(old, new)) == as_output


def test_a_change_says_where_and_what() -> None:
    (change,) = output_changes(record(label=ENUM), record(label={"enum": ["low"]}))
    assert str(change) == "output:$.label may not be 'high' any more (adds)"


leaves = st.sampled_from([NUMBER, TEXT, ENUM, {"type": "integer"}, {}, {"minimum": 0}])
records = st.dictionaries(st.sampled_from("abcd"), leaves, max_size=4).flatmap(
    lambda parts: st.lists(st.sampled_from("abcd"), unique=True).map(
        lambda names: record([n for n in names if n in parts], **parts)
    )
)


@given(records, records)
def test_a_schema_equals_itself_and_a_difference_is_never_overlooked(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert input_changes(old, old) == ()
    alike = old["properties"] == new["properties"] and set(old["required"]) == set(
        new["required"]
    )
    assert bool(input_changes(old, new)) != alike


@given(records, records)
def test_what_breaks_callers_one_way_is_safe_for_them_the_other_way(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    forth = {c.path for c in input_changes(old, new) if c.breaking}
    shared = set(old["properties"]) & set(new["properties"])
    for path in forth:
        name = path.removeprefix("input:$.")
        if name in shared and name not in set(old["required"]) ^ set(new["required"]):
            back = [c for c in input_changes(new, old) if c.path == path]
            assert back
