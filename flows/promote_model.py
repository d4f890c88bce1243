"""Put a version into a stage if a policy allows it."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from prefect import flow, runtime
from pydantic import BaseModel, Field

from brixa_flows.events import GateRefused, ModelPromoted
from brixa_flows.tasks.announcing import announce
from brixa_flows.tasks.notifying import tell_of_refusal
from brixa_flows.tasks.promotion import ask_policy, move_to_stage
from brixa_flows.tasks.reporting import publish_decision


class PromoteRequest(BaseModel):
    """Which version, where to, by which rules."""

    name: str = Field(description="Model.")
    version: str = Field(description="The candidate.")
    stage: Literal["staging", "production"] = Field(
        "production", description="Where it is to go."
    )
    policy: str = Field("production", description="Brixa Gate Policy block.")
    dataset_digest: str = Field(
        "", description="Rows whose evaluation decides; empty takes the newest."
    )
    comparison: dict[str, Any] = Field(
        default_factory=dict, description="Comparison with production, if there is one."
    )
    actor: str = Field("", description="Who asks; empty is this flow run.")
    registry: str = Field("brixa", description="Brixa Registry block.")


@flow(
    name="promote_model",
    flow_run_name="promote {request.name} {request.version} to {request.stage}",
    description="Asks a gate policy and moves the version to the stage, or refuses.",
)
def promote_model(request: PromoteRequest) -> None:
    """Ask the policy, act on its answer, show, announce.

    Fails if production changed since the policy was asked; a repeated run asks again.
    """
    decision = ask_policy(
        request.registry,
        request.policy,
        request.name,
        request.version,
        request.dataset_digest,
        request.comparison,
    )
    publish_decision(request.registry, decision, request.comparison)
    if not decision.allowed:
        refused = GateRefused(
            name=request.name,
            version=request.version,
            stage=request.stage,
            policy=request.policy,
            reasons=decision.reasons,
        )
        announce(request.registry, refused, refused.event_id(runtime.flow_run.id))
        tell_of_refusal(refused)
        return
    record = move_to_stage(
        request.registry,
        request.name,
        request.version,
        request.stage,
        request.actor or f"flow run {runtime.flow_run.name}",
        f"the policy {request.policy} allows it",
        (decision.production or "none") if request.stage == "production" else None,
    )
    promoted = ModelPromoted(
        name=request.name,
        version=request.version,
        stage=request.stage,
        replaced=str(record.replaced or ""),
        actor=record.actor,
        reason=record.reason,
    )
    announce(request.registry, promoted, UUID(record.event_id))
