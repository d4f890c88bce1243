"""Put a version into a stage if a policy, and a person if it asks one, allow it.

One promotion of a model at a time: a run waits, in no process, until those before it are
over. One that waits for a person starts again from the top with the answer, so the gates
are asked again: what is in production may have changed meanwhile, by hand.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from prefect import flow, get_run_logger, runtime
from pydantic import Field

from brixa_flows.errors import StageHolderError
from brixa_flows.events import DEFAULT_POLICY, GateRefused
from brixa_flows.outbox import promoted
from brixa_flows.registry import StageRecord
from brixa_flows.tasks.announcing import announce, announce_whole
from brixa_flows.tasks.answering import FLOW
from brixa_flows.tasks.names import ExactVersion, ModelName
from brixa_flows.tasks.notifying import tell_of_refusal
from brixa_flows.tasks.promotion import ask_policy, ask_somebody, move_to_stage
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.reporting import publish_decision
from brixa_flows.tasks.requests import QueuedRequest
from brixa_flows.tasks.turns import await_turn

_ATTEMPTS = 3
# Where no heartbeats tell: it takes seconds while it runs.
_RUNS_AT_MOST = timedelta(minutes=15)


class PromoteRequest(QueuedRequest):
    """Which version, where to, by which rules."""

    name: ModelName = Field(description="Model.")
    version: ExactVersion = Field(description="The candidate, written out: 1.2.0.")
    stage: Literal["staging", "production"] = Field(
        "production", description="Where it is to go."
    )
    policy: str = Field(DEFAULT_POLICY, description="Brixa Gate Policy block.")
    dataset_digest: str = Field(
        "", description="Rows whose evaluation decides; empty takes the newest."
    )
    comparison: dict[str, Any] = Field(
        default_factory=dict, description="Comparison with production, if there is one."
    )
    actor: str = Field("", description="Who asks; empty is this flow run.")
    registry: str = Field("brixa", description="Brixa Registry block.")

    @property
    def queue(self) -> tuple[str, ...]:
        """Promotions of one model take turns, whatever the stage."""
        return self.registry, self.name

    def refused(self, reasons: list[str]) -> GateRefused:
        """The event that it was refused."""
        return GateRefused(
            name=self.name,
            version=self.version,
            stage=self.stage,
            policy=self.policy,
            reasons=reasons,
        )


@flow(
    name=FLOW,
    flow_run_name="promote {request.name} {request.version} to {request.stage}",
    description="Asks a gate policy, and a person if the policy says so, and moves the "
    "version to the stage or refuses; one promotion of a model at a time.",
)
@links_remedy
def promote_model(request: PromoteRequest) -> None:
    """Wait for its turn, decide, and decide again if production changed meanwhile."""
    await_turn(FLOW, request, _RUNS_AT_MOST)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            record = decide_and_move(request)
            break
        except StageHolderError as err:
            if attempt == _ATTEMPTS:
                raise
            get_run_logger().warning("%s; decides again", err)
    if record is not None:
        announce(request.registry, promoted(record))


def decide_and_move(request: PromoteRequest) -> StageRecord | None:
    """Ask the policy and perhaps a person, show it, and act on the answers.

    Returns:
        The move, or ``None`` if it was refused, which is announced.

    Raises:
        StageHolderError: If production changed since the policy was asked.
    """
    decision = ask_policy(
        request.registry,
        request.policy,
        request.name,
        request.version,
        request.dataset_digest,
        request.comparison,
    )
    answer = ask_somebody(
        request.registry,
        decision,
        request.stage,
        request.dataset_digest,
        request.comparison,
    )
    said = answer.sentence if answer else ""
    publish_decision(request.registry, decision, request.comparison, said)
    refusals = decision.reasons or [said] * bool(answer and not answer.approves)
    if refusals:
        refused = request.refused(refusals)
        occasion = (request.version, request.stage, request.policy, *refusals)
        announce_whole(request.registry, refused, refused.event_id(*occasion))
        tell_of_refusal(refused)
        return None
    actor = request.actor or f"flow run {runtime.flow_run.name}"
    return move_to_stage(
        request.registry,
        request.name,
        request.version,
        request.stage,
        answer.actor if answer else actor,
        answer.reason if answer else f"the policy {request.policy} allows it",
        (decision.production or "none") if request.stage == "production" else None,
    )
