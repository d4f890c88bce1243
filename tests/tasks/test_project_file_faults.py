"""A project file that is none is a fault with a sentence, never a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from brixa_flows.errors import OrchestrationError
from brixa_flows.tasks.project_file import check_project_file, faults_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("deployments: [", "can't be read: while parsing"),
        ("- a", "no list of deployments"),
        ("deployments: {a: 1}", "no list of deployments"),
        ("deployments: [a]", "the deployment 'a', which is no mapping"),
        ("\x00", "can't be read"),
    ],
)
def test_a_file_that_is_no_project_is_told(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(OrchestrationError, match=words) as caught:
        check_project_file(tmp_path)
    assert "\n" not in str(caught.value)


FLOW = """
from prefect import flow
from pydantic import BaseModel

class Request(BaseModel):
    name: str
    rows: int = 3

@flow
def judge(request: Request, note: str = "") -> None: ...
"""


@pytest.fixture
def project(tmp_path: Path) -> dict[str, Any]:
    """A project of one flow, without a fault."""
    (tmp_path / "judging.py").write_text(FLOW)
    request = {"request": {"name": "{{ event.payload.name }}"}}
    trigger = {
        "name": "Judge it",
        "type": "event",
        "posture": "Reactive",
        "expect": ["somebody.said"],
        "match": {"prefect.resource.id": "a.*"},
        "match_related": [{"prefect.resource.role": "flow"}],
        "parameters": request,
    }
    schedule = {"cron": "5 * * * *", "parameters": {"request": {"name": "m"}}}
    deployment = {
        "name": "judge",
        "entrypoint": "judging.py:judge",
        "work_pool": {"name": "brixa"},
        "concurrency_limit": {"limit": 1},
        "triggers": [trigger],
        "schedules": [schedule],
    }
    return {"deployments": [deployment]}


def _told(folder: Path, project: dict[str, Any]) -> str:
    (folder / "prefect.yaml").write_text(yaml.safe_dump(project))
    return "; ".join(faults_of(folder / "prefect.yaml"))


def test_a_project_without_a_fault_has_none(
    tmp_path: Path, project: dict[str, Any]
) -> None:
    assert _told(tmp_path, project) == ""
    [deployment] = project["deployments"]
    deployment["triggers"][0]["enabled"] = "{{ prefect.variables.judging }}"
    deployment["parameters"] = {"note": "as always"}
    assert _told(tmp_path, project) == ""


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"name": None}, "judging.py:judge has no name"),
        ({"entrypoint": None}, "judge has no entrypoint; give FILE.py:FLOW"),
        ({"work_pool": None}, "names no work pool"),
        ({"concurrency_limit": "one"}, "'one' is no whole number of 1 or more"),
        ({"triggers": None}, "triggers: give a list of mappings, or leave the key out"),
        ({"triggers": ["x"]}, "triggers: give a list of mappings"),
        ({"triggers": {"name": "x"}}, "triggers: give a list of mappings"),
        ({"schedules": None}, "schedules: give a list of mappings"),
        ({"parameters": None}, "parameters: give a mapping"),
        ({"parameters": {"reqest": {}}}, "a parameter 'reqest' that the flow does not"),
        ({"parameters": {"request": {"rows": "x"}}}, "request.rows"),
        ({"schedules": [{"cron": "61 * * * *"}]}, "cron: Invalid cron string"),
        (
            {"schedules": [{"cron": "5 * * * *", "interval": 3}]},
            "needs one of cron, int",
        ),
        ({"schedules": [{"interval": 60}]}, "a schedule does not give request"),
    ],
)
def test_a_part_of_a_deployment_that_prefect_does_not_take_is_told(
    tmp_path: Path, project: dict[str, Any], changed: dict[str, Any], fault: str
) -> None:
    project["deployments"][0].update(changed)
    assert fault in _told(tmp_path, project)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"parameters": {}}, "trigger 'Judge it' does not give request"),
        ({"parameters": None}, "parameters: give a mapping"),
        ({"match": None}, "match: give a mapping"),
        ({"expect": []}, "expects no event, so every one would start a run"),
        ({"expect": "somebody.said"}, "event.expect: Input should be a valid set"),
        ({"posture": "Reactiv"}, "event.posture: Input should be Posture.Reactive"),
        ({"type": "evnt"}, "trigger 'Judge it': Input tag 'evnt'"),
        ({"within": "ten"}, "event.within: Input should be a valid timedelta"),
    ],
)
def test_a_trigger_that_prefect_does_not_take_is_told(
    tmp_path: Path, project: dict[str, Any], changed: dict[str, Any], fault: str
) -> None:
    project["deployments"][0]["triggers"][0].update(changed)
    assert fault in _told(tmp_path, project)


@pytest.mark.parametrize("line", ["absent_name", "raise SystemExit(0)", "1 / 0"])
def test_a_file_of_flows_that_raises_is_told(
    tmp_path: Path, project: dict[str, Any], line: str
) -> None:
    (tmp_path / "judging.py").write_text(f"{FLOW}\n{line}\n")
    assert "judging.py can't be imported: " in _told(tmp_path, project)
