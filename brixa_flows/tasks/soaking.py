"""Letting a version stand under traffic before it goes into production.

Rows of the evaluation that decided are sent to its endpoint: once to judge the answers,
then again and again, until the time is over. Latency and errors are what the client
sees.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any

import numpy as np
from prefect import get_run_logger

from brixa_flows.deployment import EndpointClient, ModelDeployer
from brixa_flows.errors import DatasetError, DeploymentError
from brixa_flows.evaluation import (
    Comparison,
    EvaluationResult,
    GatePolicy,
    ModelEvaluator,
)
from brixa_flows.prediction import as_batches
from brixa_flows.registry import ModelRegistry
from brixa_flows.serializers.base import Prediction
from brixa_flows.tasks.opening import load_policy, open_registry
from brixa_flows.tasks.promotion import recorded_evaluation
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.reporting import publish
from brixa_flows.tasks.reports import table

__all__ = ["SoakReport", "SoakRules", "publish_soak", "soak"]

_ROWS_A_REQUEST = 20


@dataclass(frozen=True)
class SoakRules:
    """What a version must stand.

    Attributes:
        minutes: How long.
        requests: How many requests to predict, at least.
        max_error_share: Share of requests that may fail.
        max_p99_ms: What 99 of 100 answers must be faster than.
        policy: Block of the gate policy that judges the answers; empty judges none.
    """

    minutes: float
    requests: int
    max_error_share: float
    max_p99_ms: float
    policy: str


@dataclass(frozen=True)
class SoakReport:
    """How it stood.

    Attributes:
        requests: How many were sent.
        errors: How many of them failed.
        p50_ms: Median time to an answer, of those that came.
        p99_ms: 99th percentile of it.
        metrics: Of the endpoint's answers.
        result: The recorded evaluation that its rows are from.
        reasons: Why it may not go on, in sentences; empty if it may.
    """

    requests: int
    errors: int
    p50_ms: float
    p99_ms: float
    metrics: dict[str, float]
    result: EvaluationResult
    reasons: list[str]

    def to_markdown(self) -> str:
        """A table of what was measured, and what speaks against the version."""
        facts = [
            ("requests", self.requests),
            ("failed", self.errors),
            ("median time to an answer", f"{self.p50_ms:.0f} ms"),
            ("99 of 100 answers within", f"{self.p99_ms:.0f} ms"),
            *(
                (f"{name} of its answers", f"{x:.4f}")
                for name, x in self.metrics.items()
            ),
        ]
        against = [f"- {reason}" for reason in self.reasons]
        lines = ["It may not go on:", "", *against] if against else []
        return "\n".join([table(("fact", "value"), facts), "", *lines])


class _Sender:
    """Sends rows in requests, and remembers how each went."""

    def __init__(self, client: EndpointClient, model_name: str) -> None:
        self._client = client
        self._model_name = model_name
        self.times_ms: list[float] = []
        self.errors: list[str] = []

    @property
    def requests(self) -> int:
        return len(self.times_ms) + len(self.errors)

    def send(self, rows: Any) -> Prediction:
        """One request.

        Raises:
            DeploymentError: If it fails.
        """
        began = time.perf_counter()
        try:
            answer = self._client.predict(self._model_name, rows)
        except DeploymentError as err:
            self.errors.append(str(err))
            raise
        self.times_ms.append(1000 * (time.perf_counter() - began))
        return answer

    def send_all(self, rows: Any) -> Prediction:
        """All rows, in as many requests as that takes.

        Raises:
            DeploymentError: If one fails.
        """
        parts = [self.send(part) for part in _parts(rows)]
        scores = [part.scores for part in parts if part.scores is not None]
        return Prediction(
            np.concatenate([part.values for part in parts]),
            np.concatenate(scores) if scores else None,
            parts[0].classes,
        )

    def keep_sending(self, rows: Any, rules: SoakRules) -> None:
        """Requests at an even pace until time and number are reached."""
        missing = max(rules.requests - self.requests, 1)
        pause_seconds = rules.minutes * 60 / missing
        began = time.monotonic()
        for number, part in zip(count(1), cycle(_parts(rows)), strict=False):
            try:
                self.send(part)
            except DeploymentError as err:
                get_run_logger().warning("%s", err)
            if number >= missing:
                return
            time.sleep(max(0.0, began + number * pause_seconds - time.monotonic()))


def _parts(rows: Any) -> Iterator[Any]:
    for start in range(0, len(rows), _ROWS_A_REQUEST):
        yield rows.iloc[start : start + _ROWS_A_REQUEST]


@remote_task("soak {name} {version} at {deployment}", timeout_seconds=None)
def soak(
    registry: str, name: str, version: str, deployment: str, rules: SoakRules
) -> SoakReport:
    """Send traffic to a deployment and say whether its version may go on.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.
        deployment: Where it is served.
        rules: What it must stand.

    Raises:
        BrixaError: If the version was never evaluated, its rows can't be read or sent,
            or the deployment serves another version.
    """
    opened = open_registry(registry)
    deployer = ModelDeployer(opened)
    status = deployer.status(deployment)
    if (status.model_name, status.version) != (name, version):
        raise DeploymentError(
            f"{deployment} serves {status.model_name} {status.version}, not {name} "
            f"{version}; deploy that one there first",
            deployment=deployment,
        )
    result = recorded_evaluation(opened, name, version, "")
    rows = _rows_of(opened, result, rules.requests * _ROWS_A_REQUEST)
    inputs = rows.drop(columns=result.dataset.asked_target)
    settings = opened.settings
    with EndpointClient(
        status.predict_endpoint,
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        ca_file=settings.ca_file,
    ) as client:
        sender = _Sender(client, name)
        metrics, reasons = _judge(opened, result, rows, rules.policy, sender)
        sender.keep_sending(inputs, rules)
    report = _report(sender, rules, metrics, result, reasons)
    get_run_logger().info(
        "%d requests, %d failed, p99 %.0f ms",
        report.requests,
        report.errors,
        report.p99_ms,
    )
    return report


def _rows_of(registry: ModelRegistry, result: EvaluationResult, rows: int) -> Any:
    """The first rows of an evaluation as a table, the label among its columns."""
    name, version, dataset = result.model_name, result.version, result.dataset
    if not dataset.uri or not dataset.target:
        raise DatasetError(
            f"{name} {version} was judged on rows that are in no file, so they can't be "
            "sent to its endpoint; evaluate it on a file with a named label column"
        )
    batches = as_batches(
        dataset.uri,
        target=dataset.asked_target,
        metadata=registry.get_metadata(name, version),
        batch_rows=rows,
    )
    batch = next(iter(batches))
    if not hasattr(batch.inputs, "assign"):
        raise DatasetError(
            f"{name} {version} takes no table but {type(batch.inputs).__name__}, and "
            "only tables are sent to an endpoint; promote it without a soak"
        )
    assert batch.labels is not None  # rows without labels are refused
    names = dataset.targets or (dataset.target,)
    labels = batch.labels.T if len(names) > 1 else [batch.labels]
    return batch.inputs.assign(**dict(zip(names, labels, strict=True))).head(rows)


def _judge(
    registry: ModelRegistry,
    result: EvaluationResult,
    rows: Any,
    policy: str,
    sender: _Sender,
) -> tuple[dict[str, float], list[str]]:
    """Metrics of the endpoint's answers, and what the policy has against them."""
    if not policy:
        return {}, []
    gates = load_policy(policy)
    try:
        judged = ModelEvaluator(registry).evaluate(
            result.model_name,
            result.version,
            rows,
            gates.metrics or None,
            target=result.dataset.asked_target,
            dataset_name=f"{result.dataset.name}, through the endpoint",
            task=result.task,
            positive=result.positive,
            threshold=result.threshold,
            slices=gates.slices,
            drift=result.drift,
            record=False,
            answers=sender.send_all,
        )
    except DeploymentError as err:
        return {}, [str(err)]
    compared = _compare(registry, result, rows, gates)
    return dict(judged.metrics), gates.decide(judged, compared).reasons


def _compare(
    registry: ModelRegistry, result: EvaluationResult, rows: Any, gates: GatePolicy
) -> Comparison | None:
    """With production on the same rows, if a gate asks for it and there is one.

    Both are asked here: the endpoint serves the version that is sealed, and a second
    round of requests would be no even traffic.
    """
    baseline = registry.production_version(result.model_name)
    if baseline in (None, result.version) or not gates.needs_comparison:
        return None
    return ModelEvaluator(registry).compare(
        result.model_name,
        str(baseline),
        result.version,
        rows,
        gates.metrics or None,
        target=result.dataset.asked_target,
        dataset_name=result.dataset.name,
        slices=gates.compared_slices,
        **result.question,
    )


def _report(
    sender: _Sender,
    rules: SoakRules,
    metrics: dict[str, float],
    result: EvaluationResult,
    reasons: list[str],
) -> SoakReport:
    p50_ms, p99_ms = np.percentile(sender.times_ms or [np.inf], [50, 99])
    errors, requests = len(sender.errors), sender.requests
    found = list(reasons)
    if errors > rules.max_error_share * requests:
        found.append(
            f"{errors} of {requests} requests failed, more than the allowed share of "
            f"{rules.max_error_share:g}: {sender.errors[-1]}"
        )
    if p99_ms > rules.max_p99_ms:
        found.append(
            f"99 of 100 answers took up to {p99_ms:.0f} ms, longer than the allowed "
            f"{rules.max_p99_ms:g} ms"
        )
    return SoakReport(
        requests, errors, float(p50_ms), float(p99_ms), metrics, result, found
    )


def publish_soak(name: str, version: str, deployment: str, soaked: SoakReport) -> None:
    """Show how a version stood under traffic.

    Args:
        name: The model.
        version: Its version.
        deployment: Where it is served.
        soaked: What was measured.
    """
    word = "may not go on from" if soaked.reasons else "stood at"
    what = f"{name} {version} {word} {deployment}"
    publish("soaked", name, f"# {what}\n\n{soaked.to_markdown()}", what, version)
