"""Checks a prefect.yaml strictly, since Prefect lets mistakes pass in silence.

An unknown key in a trigger is ignored (``match_relatd`` matches everything), and a
template that names a missing payload key starts nothing when its event comes.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import yaml
from prefect import Flow
from pydantic import BaseModel

from brixa_flows.errors import OrchestrationError
from brixa_flows.events import EVENTS
from brixa_flows.tasks.trigger_values import (
    label_faults,
    stage_faults,
    template_faults,
    value_faults,
)

__all__ = ["check_project_file", "faults_of", "flows_of"]

_PROJECT_KEYS = {"name", "prefect-version", "build", "push", "pull", "deployments"}
_PROJECT_KEYS |= {"definitions"}
_DEPLOYMENT_KEYS = {"name", "entrypoint", "description", "tags", "work_pool"}
_DEPLOYMENT_KEYS |= {"triggers", "parameters", "schedules", "concurrency_limit"}
_DEPLOYMENT_KEYS |= {"version", "enforce_parameter_schema", "build", "push", "pull"}
_TRIGGER_KEYS = {"name", "description", "type", "enabled", "posture", "expect", "after"}
_TRIGGER_KEYS |= {"match", "match_related", "for_each", "threshold", "within"}
_TRIGGER_KEYS |= {"parameters", "job_variables", "schedule_after"}
_INNER_KEYS = {
    "work_pool": {"name", "work_queue_name", "job_variables"},
    "schedules": {"cron", "interval", "rrule", "timezone", "anchor_date", "day_or"}
    | {"active", "parameters", "slug", "replaces"},
    "concurrency_limit": {"limit", "collision_strategy", "grace_period_seconds"},
}
_PAYLOAD_KEY = re.compile(r"event\.payload\.(\w+)")


def check_project_file(folder: Path) -> int:
    """Check ``prefect.yaml`` in a folder.

    Returns:
        How many deployments it has.

    Raises:
        OrchestrationError: If it is absent or has faults; names the first few.
    """
    path = folder / "prefect.yaml"
    if not path.is_file():
        raise OrchestrationError(
            f"there is no prefect.yaml in {folder}; make a project with: brixa init DIR"
        )
    faults = list(faults_of(path))
    if faults:
        raise OrchestrationError(f"{path}: " + "; ".join(faults[:5]), faults=faults)
    return len(yaml.safe_load(path.read_text())["deployments"])


def flows_of(folder: Path) -> dict[str, Flow[..., Any]]:
    """The flows that the ``prefect.yaml`` in a folder deploys, by name.

    One whose file has a fault is left out; :func:`check_project_file` tells of it.

    Raises:
        OrchestrationError: If there is no such file, or it can't be read.
    """
    path = folder / "prefect.yaml"
    try:
        deployments = yaml.safe_load(path.read_text())["deployments"]
        entrypoints = [str(each.get("entrypoint", "")) for each in deployments]
    except (OSError, UnicodeError, yaml.YAMLError, LookupError, TypeError) as err:
        raise OrchestrationError(f"{path} has no deployments to read: {err}") from err
    flows = [_flow_at(folder, entrypoint) for entrypoint in entrypoints]
    return {flow.name: flow for flow in flows if isinstance(flow, Flow)}


def faults_of(path: Path) -> Iterator[str]:
    """Everything that is wrong with a project file, as sentences."""
    try:
        project = yaml.safe_load(path.read_text())
    except (OSError, UnicodeError, yaml.YAMLError) as err:
        yield f"can't be read: {' '.join(str(err).split())}"
        return
    deployments = project.get("deployments") if isinstance(project, dict) else None
    if not deployments or not isinstance(deployments, list):
        yield "has no list of deployments"
        return
    yield from _unknown("the project", project, _PROJECT_KEYS)
    for deployment in deployments:
        if not isinstance(deployment, dict):
            yield f"has the deployment {deployment!r}, which is no mapping"
            continue
        where = str(deployment.get("entrypoint", deployment.get("name", "?")))
        yield from _unknown(where, deployment, _DEPLOYMENT_KEYS)
        yield from _inner_faults(where, deployment)
        parameters = _flow_parameters(path.parent, where)
        if isinstance(parameters, str):
            yield parameters
            continue
        for trigger in deployment.get("triggers", ()):
            yield from _trigger_faults(where, trigger, parameters)
        for schedule in deployment.get("schedules", ()):
            given = {
                **deployment.get("parameters", {}),
                **schedule.get("parameters", {}),
            }
            yield from _binding_faults(f"{where}, a schedule", given, parameters)
            for name in sorted(parameters.keys() - given.keys()):
                yield f"{where}, a schedule does not give {name}"
    yield from _twice(deployments)


def _inner_faults(where: str, deployment: Mapping[str, Any]) -> Iterator[str]:
    """Unknown keys one level down, which Prefect passes in silence too."""
    for key, known in _INNER_KEYS.items():
        inner = deployment.get(key, ())
        for given in inner if isinstance(inner, list) else [inner]:
            if isinstance(given, dict):
                yield from _unknown(f"{where}, {key}", given, known)


def _twice(deployments: Iterable[Any]) -> Iterator[str]:
    """Names that two deployments of a flow, or two automations, have."""
    seen: set[str] = set()
    for deployment in filter(lambda each: isinstance(each, dict), deployments):
        place = f"{deployment.get('entrypoint')}/{deployment.get('name')}"
        names = [each.get("name") for each in deployment.get("triggers", ())]
        for name in (place, *(f"the automation {name!r}" for name in names)):
            if name in seen:
                yield f"{name} is there twice; one would hide the other"
            seen.add(name)


def _unknown(where: str, given: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    for key in given:
        if key not in known:
            yield f"{where} has an unknown key {key!r}; known: {', '.join(sorted(known))}"


def _trigger_faults(
    where: str, trigger: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Iterator[str]:
    where = f"{where}, trigger {trigger.get('name', '?')!r}"
    yield from _unknown(where, trigger, _TRIGGER_KEYS)
    keys: set[str] | None = None
    for name in trigger.get("expect", ()):
        payload = EVENTS.get(name)
        if payload is None and name.startswith("brixa."):
            yield f"{where} expects {name!r}, which nothing announces"
        elif payload is not None:
            here = set(payload.payload_keys())
            keys = here if keys is None else keys & here
    given = trigger.get("parameters", {})
    for named in sorted(set(_PAYLOAD_KEY.findall(str(given)))):
        if keys is not None and named not in keys:
            yield f"{where} names the payload key {named!r}, which is not always there"
    yield from template_faults(where, given)
    yield from label_faults(where, trigger.get("expect", ()), trigger.get("match", {}))
    yield from _binding_faults(where, given, parameters)
    for name, value in given.items():
        fields = getattr(parameters.get(name), "model_fields", {})
        if fields and isinstance(value, Mapping):
            yield from stage_faults(where, trigger.get("expect", ()), value)
            for key in sorted((keys or set()) & set(fields) - set(value)):
                yield f"{where} does not hand on the payload key {key!r} to {name}.{key}"


def _binding_faults(
    where: str, given: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Iterator[str]:
    for name, value in given.items():
        kind = parameters.get(name)
        if kind is None:
            yield f"{where} gives a parameter {name!r} that the flow does not take"
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            if not isinstance(value, Mapping):
                yield f"{where} gives {name} {value!r}, which is no mapping"
                continue
            fields = kind.model_fields
            yield from value_faults(where, name, kind, value)
            for field in sorted(set(value) - set(fields)):
                yield f"{where} gives {name}.{field}, which the flow does not take"
            for field, facts in fields.items():
                if facts.is_required() and field not in value:
                    yield f"{where} does not give {name}.{field}"


def _flow_parameters(folder: Path, entrypoint: str) -> dict[str, Any] | str:
    """Types of a flow's parameters by name, or what is wrong with the entry point."""
    flow = _flow_at(folder, entrypoint)
    if isinstance(flow, str):
        return flow
    hints = get_type_hints(flow.fn)
    return {name: hints.get(name) for name in inspect.signature(flow.fn).parameters}


def _flow_at(folder: Path, entrypoint: str) -> Flow[..., Any] | str:
    """A flow, or what is wrong with its entry point."""
    file, _, function = entrypoint.rpartition(":")
    if not (folder / file).is_file():
        return f"the entry point {entrypoint!r} names no file"
    flow = getattr(_import_file(folder, file), function, None)
    if flow is None:
        return f"the entry point {entrypoint!r}: {file} has no {function!r}"
    if not isinstance(flow, Flow):
        return f"the entry point {entrypoint!r}: {function!r} is no flow"
    return flow


def _import_file(folder: Path, file: str) -> ModuleType:
    """Import as Prefect does: the file by its path, the project on the path."""
    name = "_".join(["brixa_project", *Path(file).with_suffix("").parts])
    spec = importlib.util.spec_from_file_location(name, folder / file)
    if spec is None or spec.loader is None:
        raise OrchestrationError(f"{folder / file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as err:
        raise OrchestrationError(f"{folder / file} can't be imported: {err}") from err
    finally:
        sys.path.remove(str(folder))
    return module
