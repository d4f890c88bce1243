"""Checks what a trigger or schedule gives a flow: templates, literal values, labels.

Prefect takes all of them in silence: a template is rendered when its event comes, a
value is looked at when a run begins, and a label that no event has matches nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from jinja2 import TemplateSyntaxError
from prefect.server.utilities.user_templates import UserTemplateEnvironment
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from brixa_flows.events import EVENTS

__all__ = ["label_faults", "stage_faults", "template_faults", "value_faults"]

_KIND = "__prefect_kind"
_STAGES = ("staging", "production")
_LABEL = "brixa."
_ENVIRONMENT = UserTemplateEnvironment(
    extensions=["jinja2_humanize_extension.HumanizeExtension"]  # as the server has
)


def template_faults(where: str, given: Any) -> Iterator[str]:
    """Templates anywhere in a value that Prefect could not render, as sentences."""
    for template in _templates(given):
        try:
            _ENVIRONMENT.compile(template)
        except TemplateSyntaxError as err:  # unknown filters and tests too
            yield f"{where} has a template that can't be rendered: {template!r}: {err}"


def value_faults(
    where: str, name: str, kind: type[BaseModel], given: Mapping[str, Any]
) -> Iterator[str]:
    """Values without templates that a field of a parameter would refuse."""
    for field, value in given.items():
        facts = kind.model_fields.get(field)
        if facts is not None and not _is_rendered(value):
            fault = _refusal(facts, value)
            if fault:
                yield f"{where} gives {name}.{field} {value!r}: {fault}"


def stage_faults(
    where: str, expected: Iterable[str], request: Mapping[str, Any]
) -> Iterator[str]:
    """A stage ``any`` where an event tells it: the version would not be asked for it."""
    told = [name for name in expected if "stage" in _keys(name)]
    if told and request.get("stage") == "any":
        yield (
            f"{where} gives the stage 'any', which deploys what has left its stage "
            f'meanwhile, too; hand on the event\'s: "{{{{ event.payload.stage }}}}"'
        )


def label_faults(
    where: str, expected: Iterable[str], match: Mapping[str, Any]
) -> Iterator[str]:
    """Labels and stages that an expected event never has."""
    labels = [_labels(name) for name in expected if name in EVENTS]
    for label, wanted in match.items():
        if label.startswith(_LABEL) and any(label not in each for each in labels):
            known = ", ".join(sorted(set.intersection(*labels))) or "none"
            yield f"{where} matches the label {label!r}, which is not there; there: {known}"
        for value in [wanted] if isinstance(wanted, str) else wanted:
            stage = str(value).removeprefix("!")
            if label == "brixa.stage" and "*" not in stage and stage not in _STAGES:
                yield f"{where} matches no stage by {value!r}; {' or '.join(_STAGES)}"


def _keys(event: str) -> frozenset[str]:
    return EVENTS[event].payload_keys() if event in EVENTS else frozenset()


def _labels(event: str) -> set[str]:
    """Labels of an event beside its resource's id and name."""
    found = EVENTS[event]
    nothing: dict[str, Any] = dict.fromkeys(found.model_fields, "")
    example = found.model_construct(**nothing)
    return {label for label in example.resource() if label.startswith(_LABEL)}


def _templates(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        if "{{" in given or "{%" in given:
            yield given
    elif isinstance(given, Mapping):
        template = given.get("template") if given.get(_KIND) == "jinja" else None
        if isinstance(template, str):
            yield template
        else:
            for value in given.values():
                yield from _templates(value)
    elif isinstance(given, Iterable):
        for value in given:
            yield from _templates(value)


def _is_rendered(value: Any) -> bool:
    """Whether Prefect makes the value only when the event comes."""
    if isinstance(value, Mapping):
        return _KIND in value or any(map(_is_rendered, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_rendered, value))
    return any(_templates(value)) if isinstance(value, str) else False


def _refusal(facts: FieldInfo, value: Any) -> str:
    """Why a field refuses a value, as it comes to a run: through JSON."""
    try:
        wanted: Any = Annotated[facts.annotation, facts]
        adapter: TypeAdapter[Any] = TypeAdapter(wanted)
        adapter.validate_json(json.dumps(value, default=str))
    except ValidationError as err:
        return "; ".join(fault["msg"] for fault in err.errors())
    return ""
