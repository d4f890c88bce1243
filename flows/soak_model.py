"""Let a version in staging stand under traffic before it may go into production."""

from __future__ import annotations

from prefect import flow, runtime
from pydantic import Field

from brixa_flows.events import EvaluationDataset, GateRefused, ModelSoaked
from brixa_flows.tasks.announcing import announce_whole
from brixa_flows.tasks.evaluation import compare_with_production
from brixa_flows.tasks.names import ModelName, OptionalDeploymentName, VersionSpec
from brixa_flows.tasks.notifying import tell_of_refusal
from brixa_flows.tasks.registration import training_policy
from brixa_flows.tasks.remedies import links_remedy
from brixa_flows.tasks.requests import FlowRequest
from brixa_flows.tasks.soaking import SoakRules, publish_soak, soak
from brixa_flows.tasks.versions import meant_version


class SoakRequest(FlowRequest):
    """Which deployment, and what its version must stand."""

    name: ModelName = Field(description="Model.")
    version: VersionSpec = Field(
        description="Version, stage, alias, latest or constraint."
    )
    deployment: OptionalDeploymentName = Field(
        "", description="Where it is; empty is NAME-staging."
    )
    minutes: float = Field(10.0, ge=0, le=24 * 60, description="How long.")
    requests: int = Field(
        200, ge=1, le=1_000_000, description="Requests to send in that time."
    )
    max_error_share: float = Field(
        0.0, ge=0, le=1, description="Share of requests that may fail."
    )
    max_p99_ms: float = Field(
        1000.0, gt=0, description="What 99 of 100 answers must be faster than."
    )
    policy: str = Field(
        "staging",
        description="Brixa Gate Policy that judges the answers on labelled rows; empty "
        "judges none.",
    )
    registry: str = Field("brixa", description="Brixa Registry block.")

    def rules(self) -> SoakRules:
        """What it must stand."""
        return SoakRules(**self.model_dump(include=set(SoakRules.__annotations__)))


@flow(
    name="soak_model",
    flow_run_name="soak {request.name} {request.version}",
    description="Sends traffic to a version in staging and measures errors, latency and "
    "answers.",
)
@links_remedy
def soak_model(request: SoakRequest) -> None:
    """Send, judge, show; compare with production as it is now, announce."""
    deployment = request.deployment or f"{request.name}-staging"
    version = meant_version(request.registry, request.name, request.version)
    who = (request.registry, request.name, version)
    soaked = soak(*who, deployment, request.rules())
    publish_soak(request.name, version, deployment, soaked)
    if soaked.reasons:
        refused = GateRefused(
            name=request.name,
            version=version,
            stage="production",
            policy=request.policy,
            reasons=soaked.reasons,
        )
        event_id = refused.event_id(runtime.flow_run.id)
        announce_whole(request.registry, refused, event_id)
        tell_of_refusal(refused)
        return
    data = soaked.result.dataset
    rows = EvaluationDataset(name=data.name, uri=data.uri)
    policy = training_policy(*who)
    comparison = compare_with_production(
        *who, rows, data.target, list(soaked.result.metrics), policy
    )
    event = ModelSoaked(
        name=request.name,
        version=version,
        deployment=deployment,
        requests=soaked.requests,
        p99_ms=soaked.p99_ms,
        dataset_digest=data.digest,
        comparison=comparison.to_dict() if comparison else {},
        policy=policy,
    )
    announce_whole(request.registry, event, event.event_id(runtime.flow_run.id))
