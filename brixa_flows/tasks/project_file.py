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
from typing import Any, NamedTuple, get_type_hints

import yaml
from prefect import Flow
from pydantic import BaseModel

from brixa_flows.errors import OrchestrationError
from brixa_flows.events import EVENTS
from brixa_flows.tasks.project_shapes import (
    deployment_faults,
    schedule_faults,
    trigger_faults,
)
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
        where = str(deployment.get("entrypoint") or deployment.get("name") or "?")
        yield from _unknown(where, deployment, _DEPLOYMENT_KEYS)
        yield from _inner_faults(where, deployment)
        misshapen = list(deployment_faults(where, deployment))
        yield from misshapen
        if not misshapen:
            yield from _run_faults(path.parent, where, deployment)
    yield from _twice(deployments)


def _run_faults(
    folder: Path, where: str, deployment: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong with the flow, or with what its runs are given."""
    try:
        flow = _flow_at(folder, where)
    except OrchestrationError as err:
        yield str(err)
        return
    if isinstance(flow, str):
        yield flow
        return
    taken = _Taken.by(flow)
    usual = deployment.get("parameters", {})
    yield from _binding_faults(f"{where}, parameters", usual, taken.kinds, whole=False)
    for trigger in deployment.get("triggers", ()):
        yield from _trigger_faults(where, trigger, usual, taken)
    for schedule in deployment.get("schedules", ()):
        place = f"{where}, a schedule"
        misshapen = list(schedule_faults(place, schedule))
        yield from misshapen
        if not misshapen:
            given = {**usual, **schedule.get("parameters", {})}
            yield from _binding_faults(place, given, taken.kinds)
            yield from _absent(place, given, taken)


class _Taken(NamedTuple):
    """The parameters of a flow.

    Attributes:
        kinds: Type by name.
        needed: Names of those without a default.
    """

    kinds: dict[str, Any]
    needed: frozenset[str]

    @classmethod
    def by(cls, flow: Flow[..., Any]) -> _Taken:
        hints, found = get_type_hints(flow.fn), inspect.signature(flow.fn).parameters
        needed = (name for name, each in found.items() if each.default is each.empty)
        return cls({name: hints.get(name) for name in found}, frozenset(needed))


def _absent(where: str, given: Mapping[str, Any], taken: _Taken) -> Iterator[str]:
    for name in sorted(taken.needed - given.keys()):
        yield f"{where} does not give {name}"


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
        triggers = deployment.get("triggers") or ()
        names = [each.get("name") for each in triggers if isinstance(each, dict)]
        for name in (place, *(f"the automation {name!r}" for name in names)):
            if name in seen:
                yield f"{name} is there twice; one would hide the other"
            seen.add(name)


def _unknown(where: str, given: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    for key in given:
        if key not in known:
            yield f"{where} has an unknown key {key!r}; known: {', '.join(sorted(known))}"


def _trigger_faults(
    where: str, trigger: Mapping[str, Any], usual: Mapping[str, Any], taken: _Taken
) -> Iterator[str]:
    where, parameters = f"{where}, trigger {trigger.get('name', '?')!r}", taken.kinds
    yield from _unknown(where, trigger, _TRIGGER_KEYS)
    misshapen = list(trigger_faults(where, trigger))
    yield from misshapen
    if misshapen:
        return
    yield from _absent(where, {**usual, **trigger.get("parameters", {})}, taken)
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
    where: str,
    given: Mapping[str, Any],
    parameters: Mapping[str, Any],
    *,
    whole: bool = True,
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
                if whole and facts.is_required() and field not in value:
                    yield f"{where} does not give {name}.{field}"


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
    except (Exception, SystemExit) as err:  # noqa: B902 - whatever a file of flows does
        why = f"{type(err).__name__}: {err}"
        raise OrchestrationError(f"{folder / file} can't be imported: {why}") from err
    finally:
        sys.path.remove(str(folder))
    return module
