"""The automations of ``brixa.toml``: one for each training that it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import RunDeployment
from prefect.events.filters import AutomationFilter, AutomationFilterTags
from prefect.events.schemas.automations import (
    Automation,
    AutomationCore,
    EventTrigger,
    Posture,
)
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from brixa_flows.errors import OrchestrationError
from brixa_flows.tasks.asking import asking_prefect
from brixa_flows.tasks.opening import load_policy
from brixa_flows.tasks.training_rules import (
    FILE,
    TrainingRule,
    check_training_rules,
    read_training_rules,
)

__all__ = ["save_automations"]

_DEPLOYMENT = "adopt_training/brixa"
_PAGE = 200


def save_automations(folder: Path) -> Iterator[str]:
    """Make the automations of a project what its ``brixa.toml`` says.

    Each entry has one, however often this is done; that of an entry which is gone is
    removed. One that a person paused stays paused.

    Args:
        folder: The project.

    Yields:
        What was done, one sentence for each automation.

    Raises:
        OrchestrationError: If the file has faults, a policy's block or the deployment
            of ``adopt_training`` is missing; nothing is changed then.
        PrefectUnavailableError: If the server does not answer.
    """
    check_training_rules(folder)
    rules = read_training_rules(folder)
    for rule in rules:
        load_policy(rule.policy)
    with asking_prefect() as client:
        wanted = _wanted(client, rules) if rules else {}
        for kept in _ours(client):
            yield _brought_up_to_date(client, kept, wanted.pop(kept.name, None))
        for name, automation in wanted.items():
            client.create_automation(automation)
            yield f"made: {name}"


def _brought_up_to_date(
    client: SyncPrefectClient, kept: Automation, wanted: AutomationCore | None
) -> str:
    if wanted is None:
        client.delete_automation(kept.id)
        return f"removed: {kept.name}"
    if _facts(kept) == _facts(wanted):
        return f"unchanged: {kept.name}"
    client.update_automation(
        kept.id, wanted.model_copy(update={"enabled": kept.enabled})
    )
    return f"changed: {kept.name}"


def _facts(automation: AutomationCore) -> dict[str, Any]:
    """What we decide about an automation; the server fills in the rest."""
    kept = {"description", "trigger", "actions"}
    return automation.model_dump(mode="json", include=kept, exclude={"trigger": {"id"}})


def _ours(client: SyncPrefectClient) -> list[Automation]:
    tagged = AutomationFilter(tags=AutomationFilterTags(all_=[FILE]))
    found: list[Automation] = []
    while True:
        page = client.read_automations(
            automations=tagged, limit=_PAGE, offset=len(found)
        )
        found.extend(page)
        if len(page) < _PAGE:
            return found


def _wanted(
    client: SyncPrefectClient, rules: Iterable[TrainingRule]
) -> dict[str, AutomationCore]:
    try:
        deployment = client.read_deployment_by_name(_DEPLOYMENT)
    except ObjectNotFound as err:
        raise OrchestrationError(
            f"there is no deployment {_DEPLOYMENT} that the automations could start; "
            "make it with: prefect deploy --all"
        ) from err
    automations = [_automation(rule, deployment.id) for rule in rules]
    return {automation.name: automation for automation in automations}


def _automation(rule: TrainingRule, deployment_id: UUID) -> AutomationCore:
    request = {
        **rule.model_dump(mode="json", exclude={"flow"}),
        "flow_run": "{{ event.resource.id }}",
    }
    return AutomationCore(
        name=f"Register what {rule.flow} logs to {rule.experiment}",
        description=f"A completed run of {rule.flow} starts adopt_training, which "
        f"announces a version of {rule.model}; from {FILE}",
        enabled=True,
        tags=[FILE],
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={"prefect.flow-run.Completed"},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {
                    "prefect.resource.role": "flow",
                    "prefect.resource.name": rule.flow,
                }
            ),
            threshold=1,
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=deployment_id,
                parameters={"request": request},
            )
        ],
    )
