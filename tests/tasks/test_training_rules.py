"""brixa.toml is checked strictly: each fault is a sentence with its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from brixa_flows.errors import OrchestrationError
from brixa_flows.tasks.project_file import flows_of
from brixa_flows.tasks.training_rules import (
    OWN_FLOWS,
    check_training_rules,
    read_training_rules,
)

ROOT = Path(__file__).parents[2]
FLOW = """
from prefect import flow

@flow(name="train-churn")
def train() -> None:
    pass
"""
RULE = """
[[training]]
flow = "train-churn"
experiment = "churn"
model = "churn"
policy = "staging"
target = "churned"
evaluations = [{ name = "held-out", uri = "held-out.parquet" }]
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A project with the flow ``train-churn`` and this ``brixa.toml``."""
    (tmp_path / "train.py").write_text(FLOW)
    deployment = {"name": "churn", "entrypoint": "train.py:train"}
    project = yaml.safe_dump({"name": "p", "deployments": [deployment]})
    (tmp_path / "prefect.yaml").write_text(project)
    shutil.copytree(ROOT / "blocks", tmp_path / "blocks")

    def written(text: str) -> Path:
        (tmp_path / "brixa.toml").write_text(text)
        return tmp_path

    return written


def test_a_rule_is_read_with_its_defaults(write: Write) -> None:
    folder = write(RULE + RULE.replace('"churn"', '"other"').replace("policy", "#"))
    first, second = read_training_rules(folder)
    assert (first.flow, first.model, first.policy) == (
        "train-churn",
        "churn",
        "staging",
    )
    assert [each.uri for each in first.evaluations] == ["held-out.parquet"]
    assert (second.model, second.policy) == ("other", "production")
    assert check_training_rules(folder) == 2


def test_a_project_without_the_file_has_no_rules(tmp_path: Path) -> None:
    assert check_training_rules(tmp_path) == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "policy =",
            "polcy =",
            "training 1 has an unknown key 'polcy'; known: flow",
        ),
        ("[[training]]", "[[trainng]]", "the file has an unknown key 'trainng'"),
        ('model = "churn"', "", "training 1 lacks 'model'"),
        ('model = "churn"', 'model = "a/b"', "'model': 'a/b' can't be the name of a"),
        ('"staging"', '"My Policy"', "'My Policy' can't be the name of a gate policy"),
        (
            "uri =",
            "url =",
            "training 1, evaluations 1 has an unknown key 'url'; known: name, uri",
        ),
        ('flow = "train-churn"', 'flow = ""', "'flow': .* at least 1 character"),
        ("[[training]]", "training = 1", "'training'"),
        ("[[training]]", "[[training]", "can't be read: "),
        ('"train-churn"', '"train"', "'train' is one of Brixa Flows, which announces"),
        (
            '"train-churn"',
            '"trian"',
            "no flow 'trian' in prefect.yaml; it has: train-ch",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(
    write: Write, old: str, new: str, words: str
) -> None:
    assert old in RULE
    with pytest.raises(OrchestrationError, match=words) as caught:
        check_training_rules(write(RULE.replace(old, new)))
    assert "\n" not in str(caught.value) and "brixa.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("imported", "decorator"),
    [
        ("training import registers_model", "@registers_model('churn')"),
        ("announcing import announce_training_complete", ""),
    ],
)
def test_a_flow_that_announces_itself_needs_no_entry(
    write: Write, imported: str, decorator: str
) -> None:
    folder = write(RULE)
    text = f"from brixa_flows.tasks.{imported}\n{FLOW}"
    (folder / "train.py").write_text(
        text.replace("def train", f"{decorator}\ndef train")
    )
    with pytest.raises(
        OrchestrationError, match="'train-churn' announces its models it"
    ):
        check_training_rules(folder)


def test_two_entries_for_the_same_models_are_a_fault(write: Write) -> None:
    with pytest.raises(
        OrchestrationError, match="two entries for the experiment 'churn'"
    ):
        check_training_rules(write(RULE + RULE))


def test_a_policy_that_is_nowhere_is_a_fault(write: Write) -> None:
    folder = write(RULE.replace("staging", "nowhere"))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with pytest.raises(
            OrchestrationError, match="'nowhere' is no file of blocks/pol"
        ):
            check_training_rules(folder)


def test_no_rule_may_name_a_flow_of_ours() -> None:
    assert OWN_FLOWS == {*flows_of(ROOT)}
