"""What forms take for a name: by a pattern that refuses nothing that the rules allow."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from rich.text import Text

from brixa_flows.tasks import names
from brixa_flows.tasks.names import (
    ExactVersion,
    OptionalVersion,
    OptionalVersionSpec,
    VersionRange,
    VersionSpec,
)
from flows.deploy_model import DeployRequest
from flows.evaluate_model import EvaluateRequest
from flows.evaluate_versions import EvaluateVersionsRequest
from flows.monitor_performance import PerformanceRequest
from flows.predict_batch import PredictRequest
from flows.promote_model import PromoteRequest
from flows.retrain import RetrainRequest
from flows.roll_back import RollBackRequest
from flows.soak_model import SoakRequest

TYPES = {name: getattr(names, name) for name in names.__all__}
FORMS = (
    DeployRequest,
    EvaluateRequest,
    EvaluateVersionsRequest,
    PerformanceRequest,
    PredictRequest,
    PromoteRequest,
    RetrainRequest,
    RollBackRequest,
    SoakRequest,
)
NEAR = st.text("0123456789.xX*^~<>=v|, -+_a", max_size=14)
PARTS = (
    "1",
    "1.2",
    "1.2.0",
    "1.2.0-rc.1",
    "1.2.0+b.5",
    "x",
    "*",
    "1.x",
    "07",
    "latest",
)
SIGNS = ("", "^", "~", "~>", ">=", "<", "= ", "v", "=v", "^ ", "< =")
BOUNDS = st.builds("{}{}".format, st.sampled_from(SIGNS), st.sampled_from(PARTS))
JOINS = st.sampled_from((" ", "  ", ",", " - ", " || ", "||", ", ", " || || "))
RANGES = st.builds(
    lambda first, rest: first + "".join(join + bound for join, bound in rest),
    BOUNDS,
    st.lists(st.tuples(JOINS, BOUNDS), max_size=4),
)


def schema(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def is_matched(kind: Any, text: str) -> bool:
    return re.search(schema(kind)["pattern"], text) is not None


def refusal(kind: Any, text: str) -> str:
    try:
        assert TypeAdapter(kind).validate_python(text) == text
    except ValidationError as err:
        return str(err.errors()[0]["msg"])
    return ""


@pytest.mark.parametrize("name", TYPES)
@given(text=NEAR | RANGES | st.text(max_size=10))
def test_a_pattern_refuses_nothing_that_the_rules_allow(name: str, text: str) -> None:
    if not refusal(TYPES[name], text):
        assert is_matched(TYPES[name], text)


@pytest.mark.parametrize(
    "text",
    [
        "1.2.0",
        "^1",
        "~1.2",
        "1.x",
        ">=1.0 <2.0 || ^3",
        "production",
        "latest",
        "best_1",
    ],
)
def test_a_spec_is_whatever_the_registry_finds_a_version_by(text: str) -> None:
    for kind in (VersionSpec, OptionalVersionSpec):
        assert not refusal(kind, text)
        assert is_matched(kind, text)


@pytest.mark.parametrize("text", ["1.2.3.4", "../x", "a b", "1.2.0;", "^", "x" * 129])
def test_what_can_be_no_version_is_refused_by_the_pattern_and_in_words(
    text: str,
) -> None:
    for kind in (VersionSpec, OptionalVersionSpec):
        assert not is_matched(kind, text)
        assert "write a version (1.2.0), a constraint" in refusal(kind, text)
    for kind in (ExactVersion, OptionalVersion):
        assert not is_matched(kind, text)
        assert "write MAJOR.MINOR.PATCH such as 1.2.0" in refusal(kind, text)
    assert not is_matched(VersionRange, text)
    assert "write for example ^1.2" in refusal(VersionRange, text)


@pytest.mark.parametrize("text", ["", " ", "archived", "None", "v1", "V2", "Staging"])
def test_words_that_never_mean_a_version_are_refused(text: str) -> None:
    allowed = text == "v1"  # to npm the same as 1
    assert bool(refusal(VersionSpec, text)) is not allowed


def test_only_one_exact_version_is_promoted_brought_back_or_alarmed_about() -> None:
    for text in ("latest", "production", "^1.2", "1.2", "v1.2.0"):
        assert not is_matched(ExactVersion, text)
        assert refusal(ExactVersion, text)
    assert not refusal(OptionalVersion, "")
    assert is_matched(OptionalVersion, "")


def test_no_form_of_a_version_is_a_union_and_each_has_a_pattern() -> None:
    for form in FORMS:
        properties = form.model_json_schema()["properties"]
        assert "anyOf" not in json.dumps(properties), form
        for field in {"version", "versions", "name", "deployment"} & properties.keys():
            assert properties[field]["type"] == "string"
            assert "pattern" in properties[field], (form, field)


def test_a_long_text_that_fits_no_pattern_is_refused_at_once() -> None:
    for bad in ("1  " * 300 + "!", " " * 1000 + "!", "1 - " * 300, "~" * 1000):
        assert not is_matched(VersionSpec, bad)


def test_prefects_command_line_shows_a_pattern_whole() -> None:
    for kind in TYPES.values():
        pattern = schema(kind)["pattern"]
        assert Text.from_markup(pattern).plain == pattern
