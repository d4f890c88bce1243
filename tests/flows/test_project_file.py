"""prefect.yaml is checked strictly, because Prefect passes mistakes in silence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from brixa_flows.errors import OrchestrationError
from brixa_flows.tasks.project_file import check_project_file, faults_of

ROOT = Path(__file__).parents[2]
Change = Callable[[dict[str, Any]], None]


def _trigger(project: dict[str, Any]) -> dict[str, Any]:
    [first, *_] = [d for d in project["deployments"] if d.get("triggers")]
    trigger: dict[str, Any] = first["triggers"][0]
    return trigger


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Change], list[str]]:
    """Faults of the project's own file after a change."""
    shutil.copytree(ROOT / "flows", tmp_path / "flows")

    def faults(change: Change) -> list[str]:
        project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
        change(project)
        path = tmp_path / "prefect.yaml"
        path.write_text(yaml.safe_dump(project))
        return list(faults_of(path))

    return faults


def test_the_projects_own_file_has_no_faults() -> None:
    flows = [*(ROOT / "flows").glob("[a-z]*.py")]
    assert check_project_file(ROOT) == len(flows)  # each can be deployed


def test_a_misspelt_trigger_key_is_named(changed: Callable[[Change], Any]) -> None:
    [fault] = changed(lambda project: _trigger(project).update(match_relatd={}))
    assert "unknown key 'match_relatd'" in fault


@pytest.mark.parametrize("inner", ["work_pool", "schedules", "concurrency_limit"])
def test_a_misspelt_key_further_down_is_named(
    changed: Callable[[Change], Any], inner: str
) -> None:
    def change(project: dict[str, Any]) -> None:
        [deployment] = [d for d in project["deployments"] if inner in d][-1:]
        given = deployment[inner]
        (given[0] if isinstance(given, list) else given)["nmae"] = 1

    assert f"{inner} has an unknown key 'nmae'" in changed(change)[0]


def test_a_schedule_that_gives_the_flow_no_parameters_is_named(
    changed: Callable[[Change], Any],
) -> None:
    def change(project: dict[str, Any]) -> None:
        deployment, *_ = [d for d in project["deployments"] if "schedules" in d]
        del deployment["parameters"]

    assert "a schedule does not give request" in changed(change)[0]


def test_two_automations_of_one_name_are_named(
    changed: Callable[[Change], Any],
) -> None:
    def change(project: dict[str, Any]) -> None:
        [first, second, *_] = [d for d in project["deployments"] if d.get("triggers")]
        second["triggers"][0]["name"] = first["triggers"][0]["name"]

    assert "is there twice" in changed(change)[0]


def test_a_template_of_a_missing_payload_key_is_named(
    changed: Callable[[Change], Any],
) -> None:
    def change(project: dict[str, Any]) -> None:
        request = _trigger(project)["parameters"]["request"]
        request["name"] = "{{ event.payload.nmae }}"

    [fault] = changed(change)
    assert "'nmae'" in fault


def test_a_payload_key_that_the_flow_takes_and_is_not_handed_is_named(
    changed: Callable[[Change], Any],
) -> None:
    def change(project: dict[str, Any]) -> None:
        del _trigger(project)["parameters"]["request"]["policy"]

    [fault] = changed(change)
    assert "does not hand on the payload key 'policy' to request.policy" in fault


def test_a_parameter_that_the_flow_does_not_take_is_named(
    changed: Callable[[Change], Any],
) -> None:
    def change(project: dict[str, Any]) -> None:
        request = _trigger(project)["parameters"]["request"]
        request["colour"] = request.pop("name")

    faults = " ".join(changed(change))
    assert "request.colour, which the flow does not take" in faults
    assert "does not give request.name" in faults


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ event.payload.name | shout }}", "No filter named 'shout'"),
        ("{{ event.payload.name }", "unexpected '}'"),
        ("{% if event.payload.name %}", "Unexpected end of template"),
        (
            {
                "__prefect_kind": "jinja",
                "template": "{{ event.payload.name is odder }}",
            },
            "No test named 'odder'",
        ),
    ],
)
def test_a_template_that_can_not_be_rendered_is_named(
    changed: Callable[[Change], Any], template: Any, words: str
) -> None:
    def change(project: dict[str, Any]) -> None:
        _trigger(project)["parameters"]["request"]["name"] = template

    [fault] = changed(change)
    assert "can't be rendered" in fault and words in fault


def _by_name(project: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [
        trigger
        for deployment in project["deployments"]
        for trigger in deployment.get("triggers", ())
        if trigger["name"] == name
    ]
    trigger: dict[str, Any] = found
    return trigger


@pytest.mark.parametrize(
    ("automation", "field", "value", "words"),
    [
        ("Promote what the policy allows", "stage", "any", "'staging' or 'production'"),
        (
            "Promote what the policy allows",
            "stage",
            "prod",
            "'staging' or 'production'",
        ),
        (
            "Deploy what was promoted to production",
            "stage",
            "any",
            "has left its stage",
        ),
        ("Soak what is served in staging", "minutes", "ten", "valid number"),
        ("Soak what is served in staging", "requests", -1, "greater than"),
    ],
)
def test_a_value_that_the_flow_would_refuse_is_named(
    changed: Callable[[Change], Any],
    automation: str,
    field: str,
    value: Any,
    words: str,
) -> None:
    def change(project: dict[str, Any]) -> None:
        _by_name(project, automation)["parameters"]["request"][field] = value

    [fault] = changed(change)
    assert repr(automation) in fault and words in fault and repr(value) in fault


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("brixa.stage", "prodution", "matches no stage by 'prodution'"),
        ("brixa.stagge", "production", "there: brixa.stage, brixa.version"),
    ],
)
def test_a_label_that_its_event_never_has_is_named(
    changed: Callable[[Change], Any], label: str, value: str, words: str
) -> None:
    def change(project: dict[str, Any]) -> None:
        match = _by_name(project, "Deploy what was promoted to production")["match"]
        match[label] = value

    [fault] = changed(change)
    assert words in fault


def test_a_parameter_that_is_no_mapping_is_named(
    changed: Callable[[Change], Any],
) -> None:
    faults = changed(lambda project: _trigger(project)["parameters"].update(request=5))
    assert "request 5, which is no mapping" in faults[0]


def test_an_event_that_nothing_announces_is_named(
    changed: Callable[[Change], Any],
) -> None:
    [fault] = changed(lambda project: _trigger(project).update(expect=["brixa.nope"]))
    assert "'brixa.nope', which nothing announces" in fault


def test_an_entry_point_without_its_flow_is_named(
    changed: Callable[[Change], Any],
) -> None:
    def change(project: dict[str, Any]) -> None:
        project["deployments"][0]["entrypoint"] = "flows/train.py:trian"

    assert any("has no 'trian'" in fault for fault in changed(change))


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(OrchestrationError, match="brixa init"):
        check_project_file(tmp_path)
