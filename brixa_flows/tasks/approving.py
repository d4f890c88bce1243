"""Asking a person from within a flow run, and getting the answer.

A run of a deployment is suspended: its process ends, so a question may wait for days
and survive restarts of the worker. With the answer the run starts again from its
beginning, so all that comes before the question must be right to do twice. A run
without a deployment can't be started again; it waits in its own process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal

from prefect import pause_flow_run, runtime, suspend_flow_run
from prefect.client.orchestration import get_client
from prefect.input import RunInput
from prefect.input.actions import read_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from prefect.utilities.urls import url_for
from pydantic import Field

from brixa_flows.evaluation import GateDecision
from brixa_flows.events import ApprovalWaiting
from brixa_flows.tasks.announcing import announce_whole
from brixa_flows.tasks.notifying import tell_of_waiting_approval
from brixa_flows.tasks.reporting import publish

__all__ = ["Answer", "Question", "ask_person"]

_POLL_SECONDS = 5
_SOMETHING = r"\S"  # a JSON schema knows no stripping, so blanks alone are refused


class Answer(RunInput):
    """What a person says; the form of the waiting run.

    Attributes:
        decision: ``approve`` or ``reject``; who only clicks, rejects.
        name: Who says it. The open-source server knows no users.
        reason: Why.
    """

    decision: Literal["reject", "approve"] = Field(
        "reject", description="Approve moves it to the stage, reject leaves it out."
    )
    name: str = Field(
        pattern=_SOMETHING,
        max_length=200,
        description="Who you are; goes into the stage history.",
    )
    reason: str = Field(
        pattern=_SOMETHING,
        max_length=2000,
        description="Why; goes into the stage history.",
    )

    @property
    def approves(self) -> bool:
        """Whether the version may go on."""
        return self.decision == "approve"

    @property
    def actor(self) -> str:
        """Who decided, for the stage history."""
        return f"{self.name.strip()} ({'approved' * self.approves or 'rejected'} in Prefect)"

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return f"{self.actor}: {self.reason.strip()}"


@dataclass(frozen=True)
class Question:
    """What a person is asked.

    Attributes:
        decision: What the policy said, with how long a person has.
        stage: Where the version is to go.
        holder: The version that is there now; empty if none is.
    """

    decision: GateDecision
    stage: str
    holder: str

    @property
    def title(self) -> str:
        """The question in a line."""
        what = f"{self.decision.model_name} {self.decision.version}"
        instead = f" in place of {self.holder}" if self.holder else ""
        return f"may {what} go into {self.stage}{instead}?"


def ask_person(registry: str, question: Question, report: Callable[[], str]) -> Answer:
    """Wait for a person's answer; call it from a flow, not from a task.

    The question is one for the version that would be replaced: if another one gets
    there meanwhile, the answer is to a question that nobody has now, and a person is
    asked again.

    Args:
        registry: Name of the registry's block.
        question: What is asked.
        report: Makes what a person must see to decide, as markdown.

    Returns:
        The answer.

    Raises:
        ValueError: If the policy asks nobody.
    """
    rule = question.decision.approval
    if rule is None:
        raise ValueError(f"the policy {question.decision.policy} asks nobody")
    suspends = bool(runtime.deployment.id)
    key, is_answered = _key_of(question, "suspended" if suspends else "paused")
    text = "" if is_answered else report()
    if not is_answered:
        name, version = question.decision.model_name, question.decision.version
        publish("waiting", name, text, question.title, version)
        waiting = _event(question, rule.timeout_seconds, rule.tell)
        announce_whole(registry, waiting, waiting.event_id(runtime.flow_run.id, key))
        tell_of_waiting_approval(name, version, question.stage, waiting.deadline)
    form = Answer.with_initial_data(description=_for_form(text))
    timeout = rule.timeout_seconds
    if suspends:
        return suspend_flow_run(wait_for_input=form, timeout=timeout, key=key)
    return pause_flow_run(
        wait_for_input=form, timeout=timeout, key=key, poll_interval=_POLL_SECONDS
    )


def _for_form(text: str) -> str:
    """The report as the form's narrow head: a smaller title, and what is asked below.

    The UI shows the fields under it, which is out of sight at first.
    """
    return text and f"*Your decision, name and reason: below the plots.*\n\n##{text}"


def _key_of(question: Question, state: str) -> tuple[str, bool]:
    """The question's key in this run, and whether it has been answered.

    A question that was asked and never answered has timed out and its run was started
    again by hand: it is asked anew.
    """
    with get_client(sync_client=True) as client:
        policy = client.read_flow_run(runtime.flow_run.id).empirical_policy
    asked = policy.pause_keys or set()
    over = re.sub(r"[^a-z0-9]+", "-", f"over {question.holder or 'none'}".lower())
    for number in count(1):
        key = f"{over}-{number}"
        if key not in asked:
            break
        if read_flow_run_input(keyset_from_base_key(f"{state}-{key}")["response"]):
            return key, True
    return key, False


def _event(question: Question, timeout_seconds: int, tell: str) -> ApprovalWaiting:
    flow_run_id = str(runtime.flow_run.id)
    deadline = datetime.now(UTC) + timedelta(seconds=timeout_seconds)
    decision = question.decision
    return ApprovalWaiting(
        name=decision.model_name,
        version=decision.version,
        stage=question.stage,
        policy=decision.policy,
        replaces=question.holder,
        tell=tell,
        deadline=deadline.isoformat(timespec="seconds"),
        flow_run_id=flow_run_id,
        url=url_for("flow-run", flow_run_id) or "",
    )
