"""Versions are found by what is known of them, in MLflow's grammar."""

from __future__ import annotations

import base64
import copy
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import BrixaError, InvalidFilterError
from brixa_flows.registry import ModelRegistry, SearchPage
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.filters import parse_filter, parse_order
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, classifier: LogisticRegression
) -> ModelRegistry:
    """Four versions of ``fraud`` and one of ``churn`` that is not saved; only look."""
    storage = LocalStorageNode(tmp_path_factory.mktemp("search"))
    registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
    for version, f1 in (("1.2.0", 0.7), ("1.10.0", 0.9), ("1.10.0-rc.1", 0.85)):
        registry.register_model(
            "fraud",
            "classification",
            version=version,
            metrics={"f1": f1},
            tags={"team": "fraud", "a b": "x"},
            hyperparameters={"depth": 3, "kind": "tree"},
            owner="ann",
            license="MIT",
            datasets=[{"name": "payments", "digest": "sha256:1"}],
        )
        registry.save_model("fraud", version, classifier)
    registry.register_model(
        "fraud", "classification", bump="major", metrics={"recall": 0.5}
    )
    registry.save_model("fraud", "2.0.0", classifier)
    registry.transition("fraud", "1.2.0", "production")
    registry.transition("fraud", "1.10.0", "staging")
    registry.register_model("churn", "regression", owner="bob", description="Who goes")
    march = {"name": "march", "digest": "sha256:9", "role": "evaluation"}
    for name, version in (("fraud", "2.0.0"), ("churn", "1.0.0")):
        registry.log_metrics(name, version, {"auc": 0.5}, march)
    return registry


@pytest.fixture
def filled(built: ModelRegistry, tmp_path: Path) -> ModelRegistry:
    """A copy of it, to change."""
    shutil.copytree(built.storage.root, tmp_path / "copy")  # type: ignore[attr-defined]
    tracking = copy.copy(built.tracking)
    return ModelRegistry(LocalStorageNode(tmp_path / "copy"), tracking=tracking)


def found(page: SearchPage) -> list[str]:
    return [f"{each.name} {each.version}" for each in page]


ALL = ["fraud 1.2.0", "fraud 1.10.0-rc.1", "fraud 1.10.0", "fraud 2.0.0"]
JUDGED = ["churn 1.0.0", "fraud 2.0.0"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", ["churn 1.0.0", *ALL]),
        (None, ["churn 1.0.0", *ALL]),
        ("dataset.name = 'march' and dataset.context = 'evaluation'", JUDGED),
        ("dataset.digest = 'sha256:9'", JUDGED),
        ("metrics.f1 > 0.8 and tags.team = 'fraud' and stage = 'staging'", [ALL[2]]),
        ("metrics.f1 >= 0.85", [ALL[1], ALL[2]]),
        ("metrics.f1 != 0.7", [ALL[1], ALL[2]]),
        ("stage = 'none'", ["churn 1.0.0", ALL[1], ALL[3]]),
        ("stage != 'production' and name = 'fraud'", ALL[1:]),
        ("stage IN ('production', 'staging')", [ALL[0], ALL[2]]),
        ("version < '1.10.0'", ["churn 1.0.0", ALL[0], ALL[1]]),
        ("version > '1.2.0' and version <= '1.10.0'", [ALL[1], ALL[2]]),
        ("version IN ('2.0.0', '1.2.0')", [ALL[0], ALL[3]]),
        ("version LIKE '1.10.%'", [ALL[1], ALL[2]]),
        ("version = '1.10.0+build.5'", [ALL[2]]),
        ("state = 'registered'", ["churn 1.0.0"]),
        ("framework = 'sklearn' and name ILIKE 'FR%'", ALL),
        ("model_type NOT IN ('classification')", ["churn 1.0.0"]),
        ("owner LIKE 'b_b'", ["churn 1.0.0"]),
        ("description = 'Who goes'", ["churn 1.0.0"]),
        ("license IN ('MIT') and tags.`a b` = 'x'", ALL[:3]),
        ("tags.team IS NULL", ["churn 1.0.0", ALL[3]]),
        ("tags.team != 'other'", ALL[:3]),
        ("params.depth = '3' and params.kind = 'tree'", ALL[:3]),
        ("dataset.name = 'payments' and dataset.context = 'training'", ALL[:3]),
        ("creation_timestamp > 1000000000000", ["churn 1.0.0", *ALL]),
        ("creation_timestamp < 1000000000000", []),
    ],
)
def test_a_filter_finds_what_it_says(
    built: ModelRegistry, asked: str | None, expected: list[str]
) -> None:
    assert found(built.search(asked)) == expected


def test_the_order_is_that_of_semantic_versions_and_what_has_no_value_comes_last(
    built: ModelRegistry,
) -> None:
    newest = built.search("name = 'fraud'", order_by=["version DESC"])
    assert built.search(order_by=None) == built.search()
    assert found(newest) == ALL[::-1]
    best = built.search("name = 'fraud'", order_by=["metrics.f1 DESC"])
    assert found(best) == [ALL[2], ALL[1], ALL[0], ALL[3]]
    worst = built.search("name = 'fraud'", order_by=["metrics.f1"])
    assert found(worst) == [ALL[0], ALL[1], ALL[2], ALL[3]]
    by_stage = built.search("", order_by=["stage", "version DESC"])
    assert found(by_stage) == [ALL[3], ALL[1], "churn 1.0.0", ALL[0], ALL[2]]


def test_pages_neither_repeat_nor_skip_what_stays_while_others_come_and_go(
    filled: ModelRegistry, classifier: LogisticRegression
) -> None:
    order = ["version DESC"]
    first = filled.search("name = 'fraud'", order_by=order, max_results=2)
    assert found(first) == [ALL[3], ALL[2]]
    filled.register_model("fraud", "classification", version="3.0.0")
    filled.save_model("fraud", "3.0.0", classifier)
    filled.delete_version("fraud", "2.0.0")
    second = filled.search(
        "name = 'fraud'", order_by=order, max_results=2, page_token=first.token
    )
    assert found(second) == [ALL[1], ALL[0]]
    assert second.token is None


def test_a_token_of_another_search_or_none_at_all_is_refused(
    built: ModelRegistry,
) -> None:
    token = built.search(max_results=1).token
    with pytest.raises(InvalidFilterError, match="of another search"):
        built.search("name = 'fraud'", page_token=token)
    for wrong in ("x", "e30=", "bnVsbA==", "ä"):
        with pytest.raises(InvalidFilterError, match="no page token"):
            built.search(page_token=wrong)


def test_a_deleted_version_is_found_only_by_its_state(filled: ModelRegistry) -> None:
    filled.delete_version("fraud", "2.0.0", reason="old")
    assert ALL[3] not in found(filled.search())
    assert found(filled.search("state = 'deleted'")) == [ALL[3]]


@pytest.mark.parametrize(
    ("asked", "place", "allowed"),
    [
        ("foo = 'x'", "foo = 'x'", "metrics.KEY"),
        ("foos.a = 'x'", "foos.a = 'x'", "metrics.KEY"),
        ("name = 'x' or name = 'y'", "'or'", "AND alone joins"),
        ("name = 'x' and", "name = 'x' and", "AND alone joins"),
        ("name = 'x' name = 'y'", "name = 'x'", "AND alone joins"),
        ("stage = 'prodction'", "prodction", "none, staging, production, archived"),
        ("state IN ('redy')", "redy", "registered, ready"),
        ("stage > 'a'", "stage > 'a'", "=, !=, LIKE"),
        ("version = '1'", "version = '1'", "LIKE '1.%'"),
        ("metrics.f1 > 'high'", "metrics.f1 > 'high'", "numeric"),
        ("tags.team = 3", "tags.team = 3", "quoted string"),
        ("name = ('x')", "name = ", "NOT IN"),
        ("name = 'x", "name = 'x", "AND alone joins"),
    ],
)
def test_a_bad_filter_is_one_sentence_with_the_place_and_what_is_allowed(
    registry: ModelRegistry, asked: str, place: str, allowed: str
) -> None:
    with pytest.raises(InvalidFilterError) as refused:
        registry.search(asked)
    sentence = str(refused.value)
    assert place in sentence
    assert allowed in sentence
    assert "\n" not in sentence
    assert ". " not in sentence


@pytest.mark.parametrize(
    "wrong",
    [
        {"filter": 3},
        {"order_by": "version"},
        {"order_by": ["version up"]},
        {"order_by": ["foo"]},
        {"order_by": ["dataset.name"]},
        {"order_by": [3]},
        {"max_results": 0},
        {"max_results": "5"},
        {"max_results": 10**6},
    ],
)
def test_bad_arguments_are_refused(registry: ModelRegistry, wrong: dict) -> None:
    with pytest.raises(InvalidFilterError):
        registry.search(**wrong)


_WORDS = st.sampled_from(
    "name version stage metrics.f1 tags.a params.`b c` dataset.name = != > LIKE IN and or "
    "NOT IS NULL ( ) , 'x' \"y\" 'it''s ` ; -- 1.5 -1 ä \x00".split(" ")
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_WORDS, max_size=9).map(" ".join) | st.text(max_size=30))
def test_any_text_is_a_filter_or_a_sentence(text: str) -> None:
    for read in (parse_filter, lambda given: parse_order([given])):
        try:
            read(text)
        except BrixaError as err:
            assert isinstance(err, InvalidFilterError)


@pytest.mark.parametrize(
    ("field", "value"),
    [("metrics.f1", "text"), ("metrics.f1", [1]), ("version", "no"), ("version", 1)],
)
def test_a_page_token_that_somebody_made_up_is_told(
    filled: ModelRegistry, field: str, value: object
) -> None:
    order = [f"{field} DESC"]
    page = filled.search("name = 'fraud'", order_by=order, max_results=2)
    assert page.token is not None
    content = json.loads(base64.urlsafe_b64decode(page.token))
    content["after"][0] = value
    token = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    with pytest.raises(InvalidFilterError, match="no page token"):
        filled.search("name = 'fraud'", order_by=order, max_results=2, page_token=token)
