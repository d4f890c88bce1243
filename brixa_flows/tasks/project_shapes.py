"""Whether the parts of a prefect.yaml have the shapes that Prefect takes.

What Prefect has a public model of (triggers, schedules) is checked by that model, so that
a typo such as ``posture: Reactiv`` is told before ``prefect deploy`` stumbles over it, or
lets it pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prefect.client.schemas.schedules import (
    CronSchedule,
    IntervalSchedule,
    RRuleSchedule,
)
from prefect.events import DeploymentTriggerTypes
from pydantic import BaseModel, TypeAdapter, ValidationError

__all__ = ["deployment_faults", "schedule_faults", "trigger_faults"]

_TRIGGERS: TypeAdapter[Any] = TypeAdapter(DeploymentTriggerTypes)
_SCHEDULES: dict[str, type[BaseModel]] = {
    "cron": CronSchedule,
    "interval": IntervalSchedule,
    "rrule": RRuleSchedule,
}
_OF_MODELS = ("timezone", "day_or", "anchor_date")
_TEMPLATE = "{{"


def deployment_faults(where: str, deployment: Mapping[str, Any]) -> Iterator[str]:
    """What keeps the parts of a deployment from being looked at one by one."""
    name = deployment.get("name")
    if not isinstance(name, str) or not name:
        yield f"{where} has no name; give a text"
    if not isinstance(deployment.get("entrypoint"), str):
        yield f"{where} has no entrypoint; give FILE.py:FLOW"
    pool = deployment.get("work_pool")
    if not isinstance(pool, Mapping) or not isinstance(pool.get("name"), str):
        yield f"{where} names no work pool; give work_pool: {{name: ...}}"
    for key in ("triggers", "schedules"):
        given = deployment.get(key, [])
        if not isinstance(given, list) or not all(
            isinstance(x, Mapping) for x in given
        ):
            yield f"{where}, {key}: give a list of mappings, or leave the key out"
    if not isinstance(deployment.get("parameters", {}), Mapping):
        yield f"{where}, parameters: give a mapping, or leave the key out"
    limit = deployment.get("concurrency_limit", 1)
    limit = limit.get("limit") if isinstance(limit, Mapping) else limit
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        yield f"{where}, concurrency_limit: {limit!r} is no whole number of 1 or more"


def trigger_faults(where: str, trigger: Mapping[str, Any]) -> Iterator[str]:
    """What Prefect's own model says of a trigger, and that it names its events."""
    for key in ("parameters", "match"):
        if not isinstance(trigger.get(key, {}), Mapping):
            yield f"{where}, {key}: give a mapping, or leave the key out"
            return
    given = {k: v for k, v in trigger.items() if _TEMPLATE not in str(v)}
    yield from _told_by(where, lambda: _TRIGGERS.validate_python(given))
    if trigger.get("type", "event") == "event" and not trigger.get("expect"):
        yield f"{where} expects no event, so every one would start a run; name some"


def schedule_faults(where: str, schedule: Mapping[str, Any]) -> Iterator[str]:
    """What Prefect's own model says of a schedule."""
    kinds = [key for key in _SCHEDULES if schedule.get(key) is not None]
    if len(kinds) != 1:
        yield f"{where} needs one of cron, interval and rrule, and has {kinds or 'none'}"
        return
    if not isinstance(schedule.get("parameters", {}), Mapping):
        yield f"{where}, parameters: give a mapping, or leave the key out"
    model = _SCHEDULES[kinds[0]]
    fields = {kinds[0], *_OF_MODELS} & set(model.model_fields)
    given = {k: v for k, v in schedule.items() if k in fields}
    if _TEMPLATE not in str(given):
        yield from _told_by(where, lambda: model(**given))


def _told_by(where: str, validate: Any) -> Iterator[str]:
    try:
        validate()
    except ValidationError as err:
        for fault in err.errors():
            place = ".".join(str(each) for each in fault["loc"])
            why = fault["msg"].removeprefix("Value error, ")
            yield f"{where}, {place}: {why}".replace(", :", ":")
